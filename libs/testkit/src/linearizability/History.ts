/**
 * What clients saw: each operation with its call and its return, in the order in which one observer of all clients recorded them. Real-time order is
 * that order, and not the clock: two events at the same virtual time still came one after the other.
 *
 * An operation of unknown outcome may take effect at any time after its call, or never. One that certainly was not carried out says nothing about
 * the object and is left out.
 */
import { Option } from "effect"

export interface Operation<Input, Output> {
  /** Position in the history, by call, from 0. */
  readonly id: number
  readonly client: string
  readonly input: Input
  /** None if the outcome is unknown. */
  readonly output: Option.Option<Output>
  /** Place of the call among all events. */
  readonly call: number
  /** Place of the return among all events; infinite if the outcome is unknown. */
  readonly return: number
  readonly callTimeMillis: number
  /** Infinite if the outcome is unknown. */
  readonly returnTimeMillis: number
}

export type History<Input, Output> = ReadonlyArray<Operation<Input, Output>>

/**
 * - `Call` opens an operation of a client, which has none open.
 * - `Return` closes it with its answer.
 * - `Unknown` closes it for the client, who will not learn more; it may still take effect. So does the end of the events.
 * - `Failed` closes it, certainly not carried out, now or later.
 */
export type Event<Input, Output> =
  | { readonly _tag: "Call"; readonly client: string; readonly timeMillis: number; readonly input: Input }
  | { readonly _tag: "Return"; readonly client: string; readonly timeMillis: number; readonly output: Output }
  | { readonly _tag: "Unknown"; readonly client: string; readonly timeMillis: number }
  | { readonly _tag: "Failed"; readonly client: string; readonly timeMillis: number }

/** The events are no history: the recorder is wrong, and nothing can be said about the object. */
export class HistoryError extends Error {
  override readonly name = "HistoryError"
}

/** Builds a history from events in the order of their recording. Throws `HistoryError` if they do not make one. */
export const fromEvents = <Input, Output>(events: Iterable<Event<Input, Output>>): History<Input, Output> => {
  const closed: Array<Omit<Operation<Input, Output>, "id">> = []
  const open = new Map<string, Omit<Operation<Input, Output>, "id">>()
  let place = 0
  let now = -Infinity
  for (const event of events) {
    const { client, timeMillis } = event
    if (!(timeMillis >= now)) throw new HistoryError(`time goes from ${now} to ${timeMillis} at event ${place}`)
    now = timeMillis
    const before = open.get(client)
    if (event._tag === "Call") {
      if (before !== undefined) throw new HistoryError(`${client} calls at event ${place} with an operation open`)
      open.set(client, {
        client,
        input: event.input,
        output: Option.none(),
        call: place,
        return: Infinity,
        callTimeMillis: timeMillis,
        returnTimeMillis: Infinity
      })
    } else {
      if (before === undefined) throw new HistoryError(`${client} has no operation open at event ${place}`)
      open.delete(client)
      if (event._tag === "Unknown") closed.push(before)
      if (event._tag === "Return") {
        closed.push({ ...before, output: Option.some(event.output), return: place, returnTimeMillis: timeMillis })
      }
    }
    place++
  }
  return [...closed, ...open.values()].sort((a, b) => a.call - b.call).map((operation, id) => ({ id, ...operation }))
}

/** An operation by its times alone. One without output is of unknown outcome, and its return, if any, is when the client gave up. */
export interface Interval<Input, Output> {
  readonly client: string
  readonly callTimeMillis: number
  readonly returnTimeMillis?: number | undefined
  readonly input: Input
  readonly output?: Output
}

/**
 * Builds a history from intervals, for sources that have clocks only: calls at the time of a return count as concurrent with it. Throws
 * `HistoryError` if an interval ends before it begins, or if one of a client begins before or when its one before ends.
 */
export const fromIntervals = <Input, Output>(
  intervals: Iterable<Interval<Input, Output>>
): History<Input, Output> => {
  const events: Array<Event<Input, Output>> = []
  for (const { callTimeMillis, client, input, output, returnTimeMillis } of intervals) {
    if (!((returnTimeMillis ?? Infinity) >= callTimeMillis)) {
      throw new HistoryError(
        `an operation of ${client} returns at ${returnTimeMillis}, before its call at ${callTimeMillis}`
      )
    }
    events.push({ _tag: "Call", client, timeMillis: callTimeMillis, input })
    if (output !== undefined && returnTimeMillis !== undefined) {
      events.push({ _tag: "Return", client, timeMillis: returnTimeMillis, output })
    } else events.push({ _tag: "Unknown", client, timeMillis: returnTimeMillis ?? callTimeMillis })
  }
  const rank = (event: Event<Input, Output>) => (event._tag === "Call" ? 0 : 1)
  return fromEvents(events.sort((a, b) => a.timeMillis - b.timeMillis || rank(a) - rank(b)))
}
