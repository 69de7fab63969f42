import { Configuration } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import type { Answer, Initialised } from "../src/ControlMessage.ts"
import { decide } from "../src/Decision.ts"
import type { Decision, Heard } from "../src/Decision.ts"
import type { Options } from "../src/Self.ts"

const list = ["a", "b", "c"].map((name) => ({ name, peerAddress: `${name}:1` }))
const texts = list.map(({ name, peerAddress }) => `${name}=${peerAddress}`)

const options = (name: string, change: Partial<Options> = {}): Options => ({
  name,
  peerAddress: `${name}:1`,
  clientAddress: "",
  initialCluster: list,
  initialClusterState: "new",
  forceNewCluster: false,
  ...change
})

const heard = (name: string, answer?: Answer): Heard => ({
  listed: list.find((listed) => listed.name === name)!,
  answer: Option.fromNullishOr(answer)
})

const uninitialised = (name: string, change: Partial<Extract<Answer, { _tag: "Uninitialised" }>> = {}): Answer => ({
  _tag: "Uninitialised",
  memberId: `id-${name}`,
  name,
  witness: false,
  clientAddress: "",
  initialCluster: texts,
  ...change
})

const configuration = (...ids: ReadonlyArray<string>): Configuration.Configuration => ({
  ...Configuration.empty,
  members: ids.map((id) => ({
    id,
    name: id.replace(/^(id|old)-/, ""),
    peerAddress: "",
    clientAddress: "",
    autoPromote: true,
    witness: false,
    priority: 0
  })),
  voters: ids
})

const initialised = (name: string, change: Partial<Initialised> = {}): Answer => ({
  _tag: "Initialised",
  memberId: `id-${name}`,
  name,
  witness: false,
  clusterId: "C",
  founding: Option.none(),
  configuration: configuration("id-a", "id-b", "id-c"),
  commitIndex: 5,
  term: 2,
  isLeader: false,
  ...change
})

const reason = (decision: Decision): string => {
  assert.strictEqual(decision._tag, "Wait")
  return decision._tag === "Wait" ? decision.reason : ""
}

describe("the first listed member", () => {
  const first = (b: Heard, c: Heard, change: Partial<Options> = {}) => decide("id-a", options("a", change), [b, c])

  it("founds when all others belong to nothing", () => {
    const decision = first(heard("b", uninitialised("b")), heard("c", uninitialised("c")))
    assert.deepInclude(decision, { _tag: "Found", pending: [] })
  })

  const faults: ReadonlyArray<readonly [what: string, answer: Answer | undefined, reason: RegExp]> = [
    ["is silent", undefined, /^waiting for c at c:1 to answer/],
    [
      "refuses",
      { _tag: "Refused", reason: "Unsupported", message: "run the same release" },
      /^c at c:1 refuses: run the same/
    ],
    ["answers under another name", uninitialised("c", { name: "d" }), /is listed as c but answers as d/],
    ["has this member's own id", uninitialised("c", { memberId: "id-a" }), /^a and c have the same member id/],
    ["has the id of another", uninitialised("c", { memberId: "id-b" }), /^b and c have the same member id/],
    [
      "lists other members",
      uninitialised("c", { initialCluster: texts.slice(1) }),
      /another --initial-cluster \(b=b:1,c=c:1\)/
    ],
    [
      "lists another one first",
      uninitialised("c", { initialCluster: [...texts].reverse() }),
      /another --initial-cluster/
    ]
  ]
  for (const [what, answer, expected] of faults) {
    it(`waits, and says why, while one ${what}`, () => {
      assert.match(reason(first(heard("b", uninitialised("b")), heard("c", answer))), expected)
    })
  }

  it("founds with those that say they are witnesses as witnesses", () => {
    const decision = first(heard("b", uninitialised("b")), heard("c", uninitialised("c", { witness: true })))
    assert.strictEqual(decision._tag, "Found")
    const { members, voters } = decision._tag === "Found" ? decision.configuration : Configuration.empty
    assert.deepStrictEqual(members.map(({ id, witness }) => [id, witness]), [
      ["id-a", false],
      ["id-b", false],
      ["id-c", true]
    ])
    assert.strictEqual(voters.length, 3)
  })

  it("waits while nobody would hold data", () => {
    const witness = (name: string) => heard(name, uninitialised(name, { witness: true }))
    assert.match(reason(first(witness("b"), witness("c"), { witness: true })), /start at least one without --witness/)
    assert.strictEqual(first(witness("b"), witness("c"))._tag, "Found")
    assert.strictEqual(first(heard("b", uninitialised("b")), witness("c"), { witness: true })._tag, "Found")
  })

  it("accepts a list in another order behind the first", () => {
    const swapped = uninitialised("c", { initialCluster: [texts[0]!, texts[2]!, texts[1]!] })
    assert.strictEqual(first(heard("b", uninitialised("b")), heard("c", swapped))._tag, "Found")
  })

  it("by force, does without the silent, but not without one that contradicts", () => {
    const force = { forceNewCluster: true }
    const decision = first(heard("b", uninitialised("b")), heard("c"), force)
    assert.strictEqual(decision._tag, "Found")
    assert.deepStrictEqual(decision._tag === "Found" && decision.pending, ["c"])
    const twin = heard("c", uninitialised("c", { memberId: "id-a" }))
    assert.match(reason(first(heard("b"), twin, force)), /same member id/)
  })

  it("founds nothing if it is not the first listed, force or not", () => {
    for (const forceNewCluster of [false, true]) {
      const decision = decide("id-b", { ...options("b"), forceNewCluster }, [heard("a"), heard("c")])
      assert.match(reason(decision), /waiting for a at .*, the first in --initial-cluster/)
    }
  })

  it("founds nothing beside a cluster that answers, force or not", () => {
    for (const forceNewCluster of [false, true]) {
      const decision = first(heard("b", uninitialised("b")), heard("c", initialised("c")), { forceNewCluster })
      assert.strictEqual(decision._tag, "Adopt")
    }
  })
})

describe("a member that hears of a cluster", () => {
  const decideB = (memberId: string, ...round: ReadonlyArray<Heard>) => decide(memberId, options("b"), round)

  it("takes part as a founder if it was founded with it", () => {
    const founding = Option.some(configuration("id-a", "id-b", "id-c"))
    const decision = decideB("id-b", heard("a", initialised("a", { founding })), heard("c"))
    assert.deepInclude(decision, { _tag: "Adopt", clusterId: "C", founding })
  })

  it("takes part as a founder even if the cluster has not begun to work", () => {
    const founding = Option.some(configuration("id-a", "id-b", "id-c"))
    const starting = initialised("a", { founding, configuration: Configuration.empty })
    assert.deepInclude(decideB("id-b", heard("a", starting)), { _tag: "Adopt", founding })
  })

  it("takes part without the founding configuration if it was let in later", () => {
    assert.deepInclude(decideB("id-b", heard("a", initialised("a"))), { _tag: "Adopt", founding: Option.none() })
  })

  it("believes the answer with the highest commit index, and of equals the leader", () => {
    const old = initialised("a", { configuration: configuration("id-a", "id-c"), commitIndex: 4 })
    const recent = initialised("c", { configuration: configuration("id-a", "id-c", "id-b"), commitIndex: 5 })
    assert.strictEqual(decideB("id-b", heard("a", old), heard("c", recent))._tag, "Adopt")
    assert.strictEqual(decideB("id-b", heard("c", recent), heard("a", old))._tag, "Adopt")
    const follower = initialised("a", { configuration: configuration("id-a", "id-c"), commitIndex: 5 })
    const leader = { ...recent, isLeader: true } as Answer
    assert.strictEqual(decideB("id-b", heard("a", follower), heard("c", leader))._tag, "Adopt")
  })

  it("asks for its place if its name is there under another id", () => {
    const cluster = initialised("a", { configuration: configuration("id-a", "old-b", "id-c") })
    assert.deepInclude(decideB("id-b", heard("a", cluster), heard("c", cluster)), {
      _tag: "Rejoin",
      via: ["a:1", "c:1"]
    })
  })

  it("waits for member-join if its name is not there, and names the command", () => {
    const cluster = initialised("a", { configuration: configuration("id-a", "id-c") })
    assert.match(reason(decideB("id-b", heard("a", cluster))), /run: dkvctl member-join b b:1$/)
  })

  it("waits if it was removed before it took part, and says how it comes back", () => {
    const founding = Option.some(configuration("id-a", "id-b", "id-c"))
    const cluster = initialised("a", { founding, configuration: configuration("id-a", "id-c") })
    assert.match(reason(decideB("id-b", heard("a", cluster))), /was removed from cluster C before it took part/)
  })

  it("waits while the cluster is starting and nobody knows who is in it", () => {
    const starting = initialised("a", { configuration: Configuration.empty })
    assert.match(reason(decideB("id-b", heard("a", starting))), /cluster C is starting/)
  })

  it("waits if two listed members belong to different clusters", () => {
    const round = [heard("a", initialised("a")), heard("c", initialised("c", { clusterId: "D" }))]
    assert.match(reason(decideB("id-b", ...round)), /a belongs to cluster C and c to D/)
  })
})
