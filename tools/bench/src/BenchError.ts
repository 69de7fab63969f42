/** A row could not be measured; the message says what to do. Other rows go on. */
import { Schema } from "effect"

export class BenchError extends Schema.TaggedError<BenchError>()("BenchError", {
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

/** The row's program is not on this machine: the row is left out, and says so. */
export class Missing extends Schema.TaggedError<Missing>()("Missing", {
  message: Schema.String
}) {}
