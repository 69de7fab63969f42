/**
 * Changes of membership against a second implementation that knows no Raft: a list of people at a table. Every configuration that goes through the log on the way
 * is looked at too. Raft paper §6; dissertation §4; etcd-raft `confchange/quick_test.go`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Configuration from "../../src/core/Configuration.ts"
import type { MemberId } from "../../src/core/Entry.ts"
import type { Change } from "../../src/core/Input.ts"
import { idOf, memberOf } from "../support/Cluster.ts"
import { Script } from "../support/Script.ts"

const numbers = [1, 2, 3, 4, 5, 6]

/** What somebody asks for. `place` is where name and address come from, 0 a member's own; `replaces` counts when joining, 0 for nobody. */
const Wish = Schema.Struct({
  kind: Schema.Literals(["Join", "Join", "Promote", "Promote", "Leave", "Update"]),
  number: Schema.Literals(numbers),
  place: Schema.Literals([0, 0, ...numbers]),
  replaces: Schema.Literals([0, 0, ...numbers]),
  force: Schema.Boolean
})

/** A change of who takes part. */
type MemberChange = Exclude<Change, { readonly _tag: "Configure" }>

const changeOf = ({ force, kind, number, place, replaces }: typeof Wish.Type): MemberChange => {
  const id = idOf(number)
  const name = `place-${place === 0 ? number : place}`
  const peerAddress = `${name}:2380`
  switch (kind) {
    case "Join": {
      const member = { ...memberOf(number), name, peerAddress }
      return { _tag: "Join", member: replaces === 0 ? member : { ...member, replaces: idOf(replaces) } }
    }
    case "Promote":
      return { _tag: "Promote", id, force }
    case "Leave":
      return { _tag: "Leave", id, force }
    case "Update":
      return { _tag: "Update", id, peerAddress, clientAddress: `${number}:3000` }
  }
}

interface Seat {
  readonly id: MemberId
  readonly name: string
  readonly peerAddress: string
  readonly clientAddress: string
  readonly votes: boolean
  readonly replaces: MemberId | undefined
}

/** Who sits at the table afterwards, or for which of these reasons nothing changes. */
const wanted = (table: ReadonlyArray<Seat>, change: MemberChange): ReadonlyArray<Seat> | ReadonlyArray<string> => {
  const id = change._tag === "Join" ? change.member.id : change.id
  const present = table.find((seat) => seat.id === id)
  const others = table.filter((seat) => seat.id !== id)
  if (change._tag === "Promote") {
    if (present === undefined) return ["NotFound"]
    if (present.votes) return table
    return table
      .filter((seat) => seat.id !== present.replaces)
      .map((seat) => seat.id === id ? { ...seat, votes: true, replaces: undefined } : seat)
  }
  if (change._tag === "Leave") {
    if (present === undefined) return ["NotFound"]
    return present.votes && !others.some(({ votes }) => votes) ? ["LastVoter"] : others
  }
  if (change._tag === "Join" && present === undefined) {
    const { clientAddress, name, peerAddress, replaces } = change.member
    const strangers = table.filter((seat) => seat.id !== replaces)
    const reasons: Array<string> = []
    if (strangers.some((seat) => seat.name === name || seat.peerAddress === peerAddress)) reasons.push("Conflict")
    if (replaces !== undefined && strangers.length === table.length) reasons.push("NotFound")
    return reasons.length > 0 ? reasons : [...table, { id, name, peerAddress, clientAddress, votes: false, replaces }]
  }
  if (present === undefined) return ["NotFound"]
  if (change._tag === "Join" && change.member.name !== present.name) return ["Conflict"]
  const { clientAddress, peerAddress } = change._tag === "Join" ? change.member : change
  if (present.clientAddress === clientAddress && present.peerAddress === peerAddress) return table
  return others.some((seat) => seat.id !== present.replaces && seat.peerAddress === peerAddress)
    ? ["Conflict"]
    : table.map((seat) => seat.id === id ? { ...seat, peerAddress, clientAddress } : seat)
}

const isRefusal = (answer: ReadonlyArray<Seat> | ReadonlyArray<string>): answer is ReadonlyArray<string> =>
  typeof answer[0] === "string"

const seatsOf = ({ members, voters }: Configuration.Configuration): ReadonlyArray<Seat> =>
  members.map(({ clientAddress, id, name, peerAddress, replaces }) => ({
    id,
    name,
    peerAddress,
    clientAddress,
    votes: voters.includes(id),
    replaces
  })).sort(byId)

const byId = (one: Seat, other: Seat) => one.id < other.id ? -1 : 1

const sets = Array.from({ length: 2 ** numbers.length }, (_, bits) => (id: MemberId) => (bits >> (Number(id) - 1)) % 2)

const isMajority = (ids: ReadonlyArray<MemberId>, bits: number) =>
  ids.length === 0 || ids.filter((id) => sets[bits]!(id) === 1).length * 2 > ids.length

/** Whether two sets without a common member could each decide, one under either configuration. */
const canPart = (one: Configuration.Configuration, other: Configuration.Configuration) =>
  sets.some((_, bits) => {
    const rest = sets.length - 1 - bits
    return isMajority(one.voters, bits) && isMajority(one.outgoing, bits) &&
      isMajority(other.voters, rest) && isMajority(other.outgoing, rest)
  })

/** The rules for each step from one configuration in the log to the next. */
const checkStep = (before: Configuration.Configuration, after: Configuration.Configuration) => {
  const ids = after.members.map(({ id }) => id)
  assert.strictEqual(new Set(ids).size, ids.length, "ids are unique")
  assert.isAbove(after.voters.length, 0, "somebody votes")
  assert.strictEqual(new Set(after.voters).size, after.voters.length, "one vote each")
  for (const id of Configuration.voterIds(after)) assert.include(ids, id, "whoever votes can be reached")
  assert.isFalse(canPart(before, after), "two majorities that do not know of each other")
  const votesMove = before.voters.join() !== after.voters.join()
  if (Configuration.isJoint(after)) {
    assert.isFalse(Configuration.isJoint(before), "no joint change begins within another")
    assert.deepStrictEqual(after.outgoing, before.voters, "a joint change goes out from the former voters")
  } else assert.isTrue(!votesMove, "voters come and go by a joint change only")
}

const settle = (script: Script): number => {
  for (let waited = 0; waited < 20; waited++) {
    script.pass(waited === 0 ? 250 : 1000)
    for (const [number, { core }] of script.nodes) {
      const isSettled = core.role === "Leader" && core.commitIndex === core.log.lastIndex &&
        !Configuration.isJoint(core.configuration)
      if (isSettled && [...script.nodes.values()].every((node) => node.core.term <= core.term)) return number
    }
  }
  throw new Error("no leader has settled")
}

describe("changes of membership", () => {
  it.prop(
    "end as anybody would expect of them, and no two successive configurations have majorities that part",
    [Schema.Array(Wish).check(Schema.isMinLength(8), Schema.isMaxLength(12))],
    ([wishes]) => {
      const founders = [1, 2, 3].map((number) => ({
        ...memberOf(number),
        name: `place-${number}`,
        peerAddress: `place-${number}:2380`
      }))
      const script = new Script({ voters: [1, 2, 3], founders, spares: [4, 5, 6] })
      let leader = settle(script)
      let table = seatsOf(script.core(leader).configuration)
      for (const wish of wishes) {
        const change = changeOf(wish)
        const answer = wanted(table, change)
        const id = script.change(leader, change)
        const asked = leader
        leader = settle(script)
        const outcome = script.outcome(asked, id)
        if (isRefusal(answer)) assert.include(answer, outcome)
        else {
          assert.strictEqual(outcome, "done")
          table = [...answer].sort(byId)
        }
        assert.deepStrictEqual(seatsOf(script.core(leader).configuration), table)
      }
      const configurations = script.node(leader).applied.flatMap(({ configuration }) => configuration ?? [])
      configurations.slice(1).forEach((after, at) => checkStep(configurations[at]!, after))
    },
    { arbitrary: { runs: 400, seed: 2015 } }
  )
})
