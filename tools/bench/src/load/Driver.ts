/** How a load reaches one kind of cluster. */
import { Schema } from "effect"
import type { Effect, Scope } from "effect"
import type { Meter } from "./Meter.ts"
import type { Operation } from "./Workload.ts"

/** A call of the load was not answered as it should have been: the figures of this measurement mean nothing. */
export class DriverError extends Schema.TaggedError<DriverError>()("DriverError", {
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

export interface RunOptions {
  readonly operation: Operation
  /** Callers that each have one call outstanding, spread evenly over the endpoints. */
  readonly callers: number
  /** Connections per endpoint, where the driver can have more than one. */
  readonly connections: number
  readonly meter: Meter
}

export interface Driver {
  /** Connects, keeps `callers` callers busy while `meter.start()` allows, and succeeds when the last call is answered. */
  readonly run: (options: RunOptions) => Effect.Effect<void, DriverError, Scope.Scope>
}
