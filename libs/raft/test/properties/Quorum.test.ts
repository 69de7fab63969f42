/** Majorities against the plainest possible second implementation: try every subset. */
import { assert, describe, it } from "vitest"
import { empty } from "../../src/core/Configuration.ts"
import type { Configuration } from "../../src/core/Configuration.ts"
import * as Quorum from "../../src/core/Quorum.ts"
import { memberOf } from "../support/Cluster.ts"

const ids = ["a", "b", "c", "d", "e"]

const subsets = Array.from({ length: 2 ** ids.length }, (_, bits) => bits)

const isIn = (bits: number) => (id: string) => (bits >> ids.indexOf(id)) % 2 === 1

/** Every way to choose voters, and outgoing ones, among five members. */
const configurations: ReadonlyArray<Configuration> = subsets.slice(1).flatMap((voters) =>
  subsets.map((outgoing) => ({ ...empty, voters: ids.filter(isIn(voters)), outgoing: ids.filter(isIn(outgoing)) }))
)

const outnumbers = (voters: ReadonlyArray<string>, holds: (id: string) => boolean) =>
  voters.filter(holds).length * 2 > voters.length

const naiveQuorum = ({ outgoing, voters }: Configuration, holds: (id: string) => boolean) =>
  outnumbers(voters, holds) && (outgoing.length === 0 || outnumbers(outgoing, holds))

const quorums = (configuration: Configuration) => subsets.filter((bits) => Quorum.isQuorum(configuration, isIn(bits)))

describe("quorum", () => {
  it("a quorum is more than half of the voters, and of the outgoing ones too", () => {
    for (const configuration of configurations) {
      for (const bits of subsets) {
        assert.strictEqual(
          Quorum.isQuorum(configuration, isIn(bits)),
          naiveQuorum(configuration, isIn(bits)),
          `${configuration.voters} ${configuration.outgoing} ${bits}`
        )
      }
    }
  })

  it("a majority is more than half of any number, and no larger than it must be", () => {
    for (let count = 1; count <= 20; count++) {
      assert.isAbove(2 * Quorum.majority(count), count)
      assert.isAtMost(2 * (Quorum.majority(count) - 1), count)
    }
  })

  it("two quorums of one configuration always share a member", () => {
    for (const configuration of configurations) {
      const all = quorums(configuration)
      assert.isTrue(all.every((one) => all.every((other) => (one & other) !== 0)))
    }
  })

  it("a quorum of a joint configuration shares a member with every quorum of the one before and the one behind it", () => {
    for (const configuration of configurations.filter(({ outgoing }) => outgoing.length > 0)) {
      const joint = quorums(configuration)
      for (const alone of [configuration.voters, configuration.outgoing]) {
        const single = quorums({ ...empty, voters: alone })
        assert.isTrue(joint.every((one) => single.every((other) => (one & other) !== 0)))
      }
    }
  })

  it("the value reached is the highest that a quorum has, wherever the members stand, and without witnesses it is committed", () => {
    let state = 7
    const next = (bound: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return (state >>> 8) % bound
    }
    for (let run = 0; run < 2000; run++) {
      const configuration = configurations[next(configurations.length)]!
      const values = new Map(ids.map((id) => [id, next(6)]))
      let expected = 0
      for (let value = 0; value < 6; value++) {
        if (naiveQuorum(configuration, (id) => values.get(id)! >= value)) expected = value
      }
      assert.strictEqual(Quorum.reachedValue(configuration, (id) => values.get(id)!), expected)
      assert.strictEqual(Quorum.committedValue(configuration, (id) => values.get(id)!), expected)
    }
  })

  it("a vote is lost as soon as no answer could win it, and not before", () => {
    for (const configuration of configurations) {
      const voters = [...new Set([...configuration.voters, ...configuration.outgoing])]
      let combinations = 3 ** voters.length
      while (combinations-- > 0) {
        let rest = combinations
        const answers = new Map<string, boolean | undefined>()
        for (const id of voters) {
          answers.set(id, [true, false, undefined][rest % 3])
          rest = Math.floor(rest / 3)
        }
        const won = naiveQuorum(configuration, (id) => answers.get(id) === true)
        const open = naiveQuorum(configuration, (id) => answers.get(id) !== false)
        assert.strictEqual(
          Quorum.voteOutcome(configuration, (id) => answers.get(id)),
          won ? "won" : open ? "pending" : "lost"
        )
      }
    }
  })

  it("without voters nothing is ever decided", () => {
    assert.isFalse(Quorum.isQuorum(empty, () => true))
    assert.strictEqual(Quorum.committedValue(empty, () => 9), 0)
  })

  describe("with witnesses", () => {
    /** Each configuration with each set of witnesses that leaves somebody with data in both halves. */
    const cases = configurations.flatMap((configuration) => {
      const present = ids.filter((id) => configuration.voters.includes(id) || configuration.outgoing.includes(id))
      return subsets.slice(0, 2 ** present.length).flatMap((bits) => {
        const members = present.map((id, position) => ({
          ...memberOf(position),
          id,
          witness: (bits >> position) % 2 === 1
        }))
        const isFull = (id: string) => members.some((member) => member.id === id && !member.witness)
        const halves = [configuration.voters, configuration.outgoing].filter((half) => half.length > 0)
        return halves.every((half) => half.some(isFull))
          ? [{ configuration: { ...configuration, members }, isFull }]
          : []
      })
    })

    /** The sets of members with data that may hold a committed entry alone: the others that acknowledged it are witnesses. */
    const holders = ({ outgoing, voters }: Configuration, isFull: (id: string) => boolean) =>
      subsets.filter((bits) => {
        const half = (half: ReadonlyArray<string>) =>
          half.length === 0 ||
          (half.some((id) => isFull(id) && isIn(bits)(id)) && outnumbers(half, (id) => !isFull(id) || isIn(bits)(id)))
        return ids.every((id) => isFull(id) || !isIn(bits)(id)) && half(voters) && half(outgoing)
      })

    it("an acknowledgement guarantees as many copies as the quorum with the fewest has, and at least one", () => {
      for (const { configuration, isFull } of cases) {
        const sizes = holders(configuration, isFull).map((bits) => ids.filter(isIn(bits)).length)
        assert.strictEqual(Quorum.copies(configuration), Math.min(...sizes), JSON.stringify(configuration))
      }
    })

    it("without witnesses that is a majority", () => {
      for (const count of [1, 2, 3, 4, 5]) {
        const voters = ids.slice(0, count)
        assert.strictEqual(Quorum.copies({ ...empty, voters }), Quorum.majority(count))
      }
      assert.strictEqual(Quorum.copies(empty), 0)
    })

    it("what is committed is on a quorum, and with its data on as many as was promised in each half", () => {
      let state = 13
      for (const { configuration, isFull } of cases) {
        const values = new Map(ids.map((id) => {
          state = (Math.imul(state, 1103515245) + 12345) >>> 0
          return [id, (state >>> 8) % 7]
        }))
        const has = (value: number) => (id: string) => values.get(id)! >= value
        const enough = new Set(holders(configuration, isFull))
        const expected = [6, 5, 4, 3, 2, 1].find((value) => {
          const bits = ids.reduce((all, id, at) => isFull(id) && has(value)(id) ? all | (1 << at) : all, 0)
          return naiveQuorum(configuration, has(value)) && enough.has(bits)
        })
        assert.strictEqual(Quorum.committedValue(configuration, (id) => values.get(id)!), expected ?? 0)
      }
    })

    it("witnesses are told of what members with data hold that could commit it with all the witnesses", () => {
      let state = 11
      for (const { configuration, isFull } of cases) {
        const values = new Map(ids.map((id) => {
          state = (Math.imul(state, 1103515245) + 12345) >>> 0
          return [id, state % 7]
        }))
        const valueOf = (id: string) => values.get(id)!
        const enough = new Set(holders(configuration, isFull))
        const reached = [6, 5, 4, 3, 2, 1].find((value) => {
          const bits = ids.reduce((all, id, at) => isFull(id) && valueOf(id) >= value ? all | (1 << at) : all, 0)
          return enough.has(bits)
        })
        assert.strictEqual(Quorum.copiedValue(configuration, valueOf), reached ?? 0)
      }
    })
  })
})
