/** Whatever stamp gets as far as the log can be written there, read back, applied, and recovered, by every member. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as MetaCodec from "../../src/codec/MetaCodec.ts"
import * as SessionCodec from "../../src/codec/SessionCodec.ts"
import * as Configuration from "../../src/core/Configuration.ts"
import { EntryKind } from "../../src/core/Entry.ts"
import * as Entry from "../../src/Entry.ts"
import { Proposals } from "../../src/Proposals.ts"
import * as Session from "../../src/Session.ts"
import { Sessions } from "../../src/Sessions.ts"
import * as Wakeup from "../../src/Wakeup.ts"

const largest = Number.MAX_SAFE_INTEGER
const command = Uint8Array.of(1)

/** Small ones, which the window lets through, and those around the largest that can be stored. */
const Numbers = Schema.Int.check(Schema.isBetween({ minimum: -8, maximum: 8 }))
const numberOf = (value: number): number => value < 0 ? largest + 4 + value : value
const Run = Schema.Struct({ sequence: Numbers, count: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4 })) })
const Stamp = Schema.Struct({
  lowestUnanswered: Numbers,
  runs: Schema.Array(Run).check(Schema.isMaxLength(4))
})

type Kept = Map<string, readonly [key: Uint8Array, value: Uint8Array]>

const apply = (sessions: Sessions, kept: Kept, entries: ReadonlyArray<Entry.Entry>): Sessions => {
  const plan = sessions.plan(entries)
  for (const { key, value } of plan.changes(plan.commands.map(() => command))) {
    const name = Buffer.from(key).toString("hex")
    if (value === undefined) kept.delete(name)
    else kept.set(name, [key, value])
  }
  assert.strictEqual(plan.answers(plan.commands.map(() => command)).length, plan.answered.length)
  const { index, term } = entries.at(-1)!
  const head = { index, term, configurationIndex: 0, configuration: Configuration.empty, group: sessions.openGroup }
  assert.deepStrictEqual(MetaCodec.decodeHead(MetaCodec.encodeHead(head)), head)
  return new Sessions([...kept.values()], sessions.openGroup)
}

describe("stamps", () => {
  it.effect.prop(
    "that are accepted can be encoded, decoded, applied and recovered, wherever a batch ends",
    [Schema.Array(Stamp).check(Schema.isMinLength(1), Schema.isMaxLength(6)), Schema.Array(Schema.Boolean)],
    ([stamps, cuts]) =>
      Effect.gen(function*() {
        const proposals = new Proposals(yield* Wakeup.make, 1)
        const kept: Kept = new Map()
        let index = 1
        let batch = [Entry.make(index, 1, EntryKind.SessionOpen, new Uint8Array(0))]
        let sessions = new Sessions([], undefined)
        for (const { lowestUnanswered, runs } of stamps) {
          const stamp: Session.Stamp = {
            session: { index: 1, term: 1 },
            lowestUnanswered: numberOf(lowestUnanswered),
            runs: runs.map(({ count, sequence }) => ({ sequence: numberOf(sequence), count }))
          }
          const count = Session.countOf(stamp.runs)
          if (count === 0) continue
          const commands = Array.from({ length: count }, () => command)
          const refused = proposals.add(commands, stamp, 0, 1, () => {})
          const numbers = [stamp.lowestUnanswered]
          for (const run of stamp.runs) for (let at = 0; at < run.count; at++) numbers.push(run.sequence + at)
          if (!numbers.every(Number.isSafeInteger)) assert.strictEqual(refused?.reason, "TooLarge")
          if (refused !== undefined) continue
          const first = SessionCodec.encodeFirst(stamp, command)
          assert.deepStrictEqual(SessionCodec.decodeFirst(first), { stamp, command })
          for (let position = 0; position < count; position++) {
            const [kind, data] = position === 0
              ? [EntryKind.SessionCommand, first] as const
              : [EntryKind.Command, command] as const
            batch.push(Entry.make(++index, 1, kind, data))
            if (cuts[index % (cuts.length + 1)] !== true) continue
            sessions = apply(sessions, kept, batch)
            batch = []
          }
        }
        if (batch.length > 0) apply(sessions, kept, batch)
      }),
    { arbitrary: { runs: 300, seed: 5 } }
  )
})
