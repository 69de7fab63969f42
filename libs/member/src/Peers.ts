/** Questions to other members by address, before and beside the links of raft. */
import { Control } from "@dkv/transport"
import { Effect } from "effect"
import * as ControlMessage from "./ControlMessage.ts"

/** Why nothing usable came back; only for people to read. */
export interface Silence {
  readonly _tag: "Silence"
  readonly message: string
}

/** One question and its answer. Fails with `Silence` when the address does not answer, or not in this language, within `timeoutMillis`. */
export const ask = Effect.fnUntraced(
  function*(address: string, request: ControlMessage.Request, timeoutMillis: number) {
    const control = yield* Control.Control
    const bytes = yield* control.call(address, ControlMessage.encodeRequest(request), timeoutMillis)
    return yield* ControlMessage.decodeAnswer(bytes)
  },
  Effect.mapError((error): Silence => ({ _tag: "Silence", message: error.message }))
)
