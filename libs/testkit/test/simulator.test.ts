/** The simulator over some seeds of the default mix, and what makes its word worth something. Longer runs are `npm run sim`. */
import { assert, describe, it } from "@effect/vitest"
import { Options, Prng, Rules, Run } from "../src/simulator/index.ts"

const seeds = 36

describe("the simulator", () => {
  it("does the same again with the same seed, event for event", () => {
    for (const seed of [3, 14, 27]) {
      const traces = [0, 1].map(() => {
        const lines: Array<string> = []
        const { hash, steps } = Run.run(seed, { trace: (line) => void lines.push(line) })
        return { hash, steps, lines }
      })
      assert.deepStrictEqual(traces[0], traces[1])
      assert.isAbove(traces[0]!.lines.length, 100)
    }
  })

  it("traces each message, sync, commit and batch applied", () => {
    const lines: Array<string> = []
    Run.run(14, { trace: (line) => void lines.push(line) })
    for (
      const event of [
        /m\d+ > m\d+ Append term=\d+ previousIndex=\d+ previousTerm=\d+ commit=\d+ entries=\d+\.\.\d+$/,
        /m\d+ > m\d+ VoteReply term=\d+ preVote=false granted=true$/,
        /m\d+ has on its disk entries \d+\.\.\d+ of term \d+$/,
        /m\d+ has on its disk term \d+, vote for m\d+$/,
        /m\d+ knows that \d+ is committed$/,
        /m\d+ applies \d+/
      ]
    ) assert.isTrue(lines.some((line) => event.test(line)), String(event))
  })

  it("does something else with another seed", () => {
    const hashes = [1, 2, 3, 4].map((seed) => Run.run(seed, { without: Options.faultKinds }).hash)
    assert.strictEqual(new Set(hashes).size, hashes.length)
  })

  it("leaves whoever is not of the healed core as dead as it is", () => {
    let count = 0
    for (let seed = 1; seed <= 12; seed++) {
      const dead = new Set<string>()
      Run.run(seed, {
        trace: (line) => {
          const [, name, ...words] = line.trim().split(/ +/)
          const said = words.join(" ")
          if (said === "stays dead") dead.add(name!)
          if (said.startsWith("core grows by")) dead.delete(words.at(-1)!)
          assert.isFalse(dead.has(name!) && / in term /.test(said), `seed ${seed}: ${line}`)
        }
      })
      count += dead.size
    }
    assert.isAbove(count, 3)
  })

  it(
    `finds nothing wrong in ${seeds} seeds and some more, with every kind of fault among them, and every rule looked at`,
    () => {
      const struck = new Set<string>()
      const looked = new Set<string>()
      let frames = { lost: 0, doubled: 0, overtaking: 0 }
      const run = (seed: number) => {
        const report = Run.run(seed)
        assert.strictEqual(report.failure, undefined, `npm run sim -- --seed ${seed}`)
        assert.include(["Whole", "PerKey"], report.proven, `npm run sim -- --seed ${seed}`)
        for (const kind of report.faults.keys()) struck.add(kind)
        for (const [rule, looks] of report.looks) if (looks > 0) looked.add(rule)
        const { doubled, lost, overtaking } = report.frames
        frames = {
          lost: frames.lost + lost,
          doubled: frames.doubled + doubled,
          overtaking: frames.overtaking + overtaking
        }
      }
      for (let seed = 1; seed <= seeds; seed++) run(seed)
      // and some more, with the kinds that did not strike in those
      for (const kind of Options.faultKinds) {
        for (let seed = seeds + 1; !struck.has(kind) && seed <= 1000; seed++) {
          if (Options.draw(new Prng.Prng(seed)).meanMillis[kind] !== Infinity) run(seed)
        }
      }
      assert.deepStrictEqual([...struck].sort(), [...Options.faultKinds].sort())
      assert.deepStrictEqual(Rules.names.filter((rule) => !looked.has(rule)), [])
      for (const [kind, count] of Object.entries(frames)) assert.isAbove(count, 0, kind)
    },
    300_000
  )
})
