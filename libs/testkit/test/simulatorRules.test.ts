/** That each rule of the simulator can be broken, by what members never do: made-up disks, messages and looks. */
import { VolatileStateMachine } from "@dkv/raft"
import type { LogStore, RaftNode } from "@dkv/raft"
import { Disk } from "@dkv/storage"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Prng, Run, SimDisk, Stack } from "../src/simulator/index.ts"
import type { Rules } from "../src/simulator/index.ts"
import { counter, load } from "./examples/Counter.ts"
import { a, b, c, d, empty, entries, entry, idle, make, of, reform } from "./simulatorParts.ts"

describe("a log that comes back", () => {
  const rule: Rules.Rule = "what was synced survives a restart"
  /** With entries of term 1 from `previousIndex` on. */
  const back = (previousIndex: number, lastIndex: number, previousTerm = 1): LogStore.Recovered => ({
    ...empty,
    previousIndex,
    previousTerm: previousIndex === 0 ? 0 : previousTerm,
    lastIndex,
    termRuns: lastIndex === previousIndex ? [] : [{ index: previousIndex + 1, term: 1 }]
  })

  it("may begin later than before, and have what was being written", () => {
    const { append, begin, broken, watch } = make()
    append(a, entries(1, 10, 1))
    begin(a, { _tag: "Append", entries: entries(11, 12, 1) })
    watch.booted(a, back(4, 11))
    assert.isUndefined(broken())
  })

  it("must not end earlier", () => {
    const { append, broken, watch } = make()
    append(a, entries(1, 10, 1))
    watch.booted(a, back(0, 9))
    assert.strictEqual(broken(), rule)
  })

  it("is empty behind a reset that was being written, and behind no other place", () => {
    for (const [resetTo, expected] of [[undefined, rule], [30, rule], [20, undefined]] as const) {
      const { append, begin, broken, watch } = make()
      append(a, entries(1, 10, 1))
      if (resetTo !== undefined) begin(a, { _tag: "Reset", index: resetTo, term: 1 })
      watch.booted(a, back(20, 20))
      assert.strictEqual(broken(), expected)
    }
  })

  it("has lost its tail if it was compacted up to the middle and has nothing behind that", () => {
    const { append, broken, watch } = make()
    append(a, entries(1, 10, 1))
    watch.booted(a, back(5, 5))
    assert.strictEqual(broken(), rule)
  })

  it("goes on differently where that was being written, and nowhere else", () => {
    for (const isWriting of [false, true]) {
      const { append, begin, broken, watch } = make()
      append(a, entries(1, 10, 1))
      if (isWriting) begin(a, { _tag: "Append", entries: [entry(8, 2)] })
      watch.booted(a, { ...back(0, 8), termRuns: [{ index: 1, term: 1 }, { index: 8, term: 2 }] })
      assert.strictEqual(broken(), isWriting ? undefined : rule)
    }
  })
})

describe("votes", () => {
  it("on a disk do not change within a term", () => {
    for (const second of [b, "", a]) {
      const { broken, vote } = make()
      vote(c, 2, a)
      vote(c, 2, second)
      assert.strictEqual(broken(), second === a ? undefined : "one vote per term")
    }
  })

  it("that were being written when a machine stopped count if they are there", () => {
    const { broken, vote, watch } = make()
    watch.booted(c, { ...empty, hardState: { term: 2, vote: a } })
    vote(c, 2, b)
    assert.strictEqual(broken(), "one vote per term")
  })

  it("of a quorum elect, those of disks that were lost since included", () => {
    const { broken, say, stand, vote, watch } = make()
    vote(a, 2, a)
    stand(a, 2)
    vote(b, 2, a)
    watch.lost(b)
    say(a, 2, [])
    assert.isUndefined(broken())
  })

  it("of fewer do not elect", () => {
    const { broken, say, stand, vote } = make()
    vote(a, 2, a)
    stand(a, 2)
    vote(b, 2, b)
    say(a, 2, [])
    assert.strictEqual(broken(), "a quorum of durable votes elects")
  })

  it("are needed in both halves of a joint configuration", () => {
    for (const second of [b, d]) {
      const { broken, stand, status, vote } = make()
      const configuration = of([a, b, c], [a, d])
      status(a, { configuration })
      vote(a, 2, a)
      stand(a, 2)
      vote(b, 2, a)
      vote(second, 2, a)
      status(a, { configuration, role: "Leader", term: 2 })
      assert.strictEqual(broken(), second === d ? undefined : "a quorum of durable votes elects")
    }
  })

  it("are counted by the configuration in which they were asked for", () => {
    const { broken, stand, status, vote } = make()
    vote(a, 2, a)
    stand(a, 2)
    vote(b, 2, a)
    status(a, { configuration: of([a, b, c, d], [b, c, d]), role: "Leader", term: 2 })
    assert.isUndefined(broken())
  })

  it("of its own, a leader has on its disk", () => {
    const { broken, say, stand, vote } = make()
    stand(a, 2)
    vote(b, 2, a)
    vote(c, 2, a)
    say(a, 2, [])
    assert.strictEqual(broken(), "a leader's own vote is durable")
  })

  it("of a lone voter are its own", () => {
    const { broken, status, vote } = make()
    const configuration = of([a])
    status(a, { configuration })
    vote(a, 2, a)
    status(a, { configuration, role: "Leader", term: 2 })
    assert.isUndefined(broken())
  })
})

describe("an acknowledgement", () => {
  /** `a` was elected in term 3, and said that entries 1 and 2 are of that term. */
  const elected = () => {
    const made = make()
    for (const id of [a, b, c]) made.vote(id, 3, a)
    made.stand(a, 3)
    made.say(a, 3, entries(1, 2, 3))
    return made
  }

  it("is for what the leader has said", () => {
    for (const term of [2, 3]) {
      const { acknowledge, append, broken } = elected()
      append(b, entries(1, 2, term))
      acknowledge(b, 3, 2)
      assert.strictEqual(broken(), term === 3 ? undefined : "an acknowledgement follows its sync")
    }
  })

  it("is not before the entry", () => {
    const { acknowledge, append, broken } = elected()
    append(b, entries(1, 1, 3))
    acknowledge(b, 3, 2)
    assert.strictEqual(broken(), "an acknowledgement follows its sync")
  })

  it("of a leadership that is over may be late", () => {
    const { acknowledge, append, broken, vote } = elected()
    append(b, entries(1, 2, 3))
    vote(b, 4, c)
    append(b, [entry(2, 4), entry(3, 4)])
    acknowledge(b, 3, 2)
    assert.isUndefined(broken())
  })
})

describe("what is committed", () => {
  const rule: Rules.Rule = "a quorum holds what is committed"
  const [joint, final] = [of([a, d], [a, b, c]), of([a, d])]

  /** `a` leads in term 1, and these have entry 1, a joint configuration. */
  const elected = (holders: ReadonlyArray<string>) => {
    const made = make()
    for (const id of [a, b, c]) made.vote(id, 1, a)
    made.stand(a, 1)
    for (const id of holders) made.append(id, [reform(1, joint)])
    return made
  }

  /** It goes by it. */
  const begun = (holders: ReadonlyArray<string>) => {
    const made = elected(holders)
    made.status(a, { role: "Leader", term: 1, configuration: joint })
    return made
  }

  it("of a joint configuration is on a quorum of both halves before the final one is made", () => {
    for (const [holders, expected] of [[[a, d], rule], [[a, d, b], undefined], [[a, b, c], rule]] as const) {
      const { append, broken, status } = begun(holders)
      status(a, { role: "Leader", term: 1, configuration: final, commitIndex: 1 })
      append(a, [reform(2, final)])
      assert.strictEqual(broken(), expected)
    }
  })

  it("behind a joint configuration may be on a quorum of the final one alone, which is in force from its append on", () => {
    for (const commitIndex of [2, 3]) {
      const { append, broken, status } = begun([a, b, d])
      for (const id of [a, d]) append(id, [entry(2, 1), reform(3, final)])
      status(a, { role: "Leader", term: 1, configuration: final, commitIndex })
      assert.isUndefined(broken())
    }
  })

  it("is on as many disks with its data as was promised, by what it was counted by or by what came in force then", () => {
    for (const [promised, expected] of [[2, undefined], [3, "there are as many copies as promised"]] as const) {
      const { broken, status } = elected([a, b])
      const leads = { role: "Leader", term: 1 } as const
      status(a, { ...leads, configuration: of([a, b, c]), copies: promised })
      status(a, { ...leads, configuration: joint, copies: 3, commitIndex: 1 })
      assert.strictEqual(broken(), expected)
    }
  })
})

describe("what a member says of itself", () => {
  const cases: ReadonlyArray<readonly [Rules.Rule, ReadonlyArray<Partial<RaftNode.Status>>]> = [
    ["terms grow", [{ term: 2 }, { term: 1 }]],
    ["the commit index grows", [{ commitIndex: 2 }, { commitIndex: 1 }]],
    ["applied indexes grow", [{ commitIndex: 2, appliedIndex: 2 }, { commitIndex: 2, appliedIndex: 1 }]],
    ["what is applied is committed", [{ commitIndex: 2, appliedIndex: 3 }]]
  ]
  for (const [rule, looks] of cases) {
    it(`${rule}, or it is noticed`, () => {
      const { broken, status } = make()
      for (const seen of looks) status(a, seen)
      assert.strictEqual(broken(), rule)
    })
  }

  it("a term that its disk had is not gone after a restart", () => {
    const { broken, status, vote, watch } = make()
    vote(a, 2, "")
    watch.booted(a, { ...empty, hardState: { term: 2, vote: "" } })
    status(a, { term: 1 })
    assert.strictEqual(broken(), "terms grow")
  })

  it("a lease that lasts by the clock alone is looked at too", () => {
    const { broken, watch } = make()
    watch.termLed = 3
    watch.lease(a, { ...idle, role: "Leader", term: 2, hasLease: true })
    assert.strictEqual(broken(), "nobody leads after a leader that has a lease")
  })
})

describe("what is applied", () => {
  const result = (text: string) => [new TextEncoder().encode(text)]

  it("is answered alike everywhere", () => {
    for (const answer of ["one", "two"]) {
      const { broken, watch } = make()
      watch.apply(a, [entry(1, 1, "x")], result("one"))
      watch.apply(b, [entry(1, 1, "x")], result(answer))
      assert.strictEqual(broken(), answer === "one" ? undefined : "state machine safety")
    }
  })

  it("is not applied again after a snapshot that has it", () => {
    const { broken, status, watch } = make()
    status(a, { commitIndex: 5, appliedIndex: 5 })
    watch.apply(a, [entry(5, 1)], result(""))
    assert.strictEqual(broken(), "applied indexes grow")
  })
})

describe("a proposal that is turned down", () => {
  const command = new TextEncoder().encode("x")
  const began = () => {
    const made = make()
    const own = made.watch.propose([command])
    return {
      ...made,
      write: () => made.watch.writing(a, [{ _tag: "Append", entries: [{ ...entry(1, 1), data: own[0]! }] }]),
      turnDown: () => made.watch.turnDown(a, own, "no"),
      apply: (term: number) => made.watch.apply(b, [entry(1, term, "x")], [new Uint8Array()])
    }
  }
  const rule = "a proposal that is turned down never takes effect"

  const orders: ReadonlyArray<readonly [what: string, order: ReadonlyArray<"write" | "turnDown" | "apply">]> = [
    ["takes no effect afterwards", ["write", "turnDown", "apply"]],
    ["has taken none before", ["write", "apply", "turnDown"]],
    ["is not on its way to the log", ["turnDown", "write", "apply"]]
  ]
  for (const [what, order] of orders) {
    it(what, () => {
      const { apply, broken, turnDown, write } = began()
      for (const step of order) ({ write, turnDown, apply: () => apply(1) })[step]()
      assert.strictEqual(broken(), rule)
    })
  }

  it("has another leader's entry in its place", () => {
    const { apply, broken, turnDown, write } = began()
    for (const step of [write, () => apply(2), turnDown]) step()
    assert.strictEqual(broken(), undefined)
  })

  it("may be made again in the same bytes", () => {
    const { apply, broken, turnDown, watch, write } = began()
    const again = watch.propose([command])
    for (const step of [write, () => watch.turnDown(a, again, "no"), () => apply(1)]) step()
    assert.strictEqual(broken(), undefined)
    turnDown()
    assert.strictEqual(broken(), rule)
  })
})

describe("a disk", () => {
  const open = Effect.fnUntraced(function*() {
    const sim = new SimDisk.SimDisk("/log", 0)
    const disk = yield* Effect.provide(Effect.service(Disk.Disk), sim.layer)
    yield* disk.makeDirectory("/log")
    const file = yield* disk.open("/log/a", { access: "write", create: "new", durableWrites: true })
    return { sim, file, write: Effect.ignore(file.write(0, [new Uint8Array(10).fill(1)])) }
  })

  it.effect("accounts for the errors that were made to happen, until it is started with again", () =>
    Effect.gen(function*() {
      for (const reason of ["Io", "Full"] as const) {
        const { sim, write } = yield* open()
        assert.isFalse(sim.accountsFor(reason))
        if (reason === "Io") sim.fail("sync")
        else sim.fill(0)
        yield* write
        assert.isTrue(sim.accountsFor(reason))
        assert.isFalse(sim.accountsFor("Corrupt"))
        sim.heal()
        yield* sim.kill
        assert.isFalse(sim.accountsFor(reason))
      }
    }))

  it.effect("accounts for no error that nobody made", () =>
    Effect.gen(function*() {
      const { file, sim, write } = yield* open()
      yield* file.close
      yield* write
      assert.isFalse(sim.accountsFor("Io"))
    }))

  it.effect("accounts for damage as long as it lasts", () =>
    Effect.gen(function*() {
      const { sim, write } = yield* open()
      yield* write
      assert.isTrue(sim.rot(new Prng.Prng(1)))
      yield* sim.kill
      assert.isTrue(sim.accountsFor("Corrupt"))
      assert.isFalse(sim.accountsFor("Io"))
    }))
})

describe("a member that stops by itself", () => {
  it("has to say why, even if it never happens again", () => {
    let wasSilent = false
    const silentOnce = Layer.effect(
      VolatileStateMachine.VolatileStateMachine,
      Effect.map(Effect.service(VolatileStateMachine.VolatileStateMachine), (machine) => ({
        ...machine,
        apply: (commands: Parameters<typeof machine.apply>[0]) =>
          Effect.map(machine.apply(commands), (results) => {
            if (wasSilent || results.length === 0) return results
            wasSilent = true
            return results.slice(1)
          })
      }))
    ).pipe(Layer.provide(counter))
    const { failure } = Run.run(1, { stack: { ...Stack.kv, state: Stack.volatile(silentOnce), load } })
    assert.match(failure ?? "", /^a member stops for a reason: .* the state machine answered/)
  })
})
