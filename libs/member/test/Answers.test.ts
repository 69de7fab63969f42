import { Configuration } from "@dkv/raft"
import { Control } from "@dkv/transport"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { answer } from "../src/Answers.ts"
import * as ControlMessage from "../src/ControlMessage.ts"
import { FakeCluster, settled } from "./FakeCluster.ts"

const { version } = ControlMessage
const clusterId = "00000000000000cc"
const empty = Configuration.empty

/** A member that waits for a cluster. */
const waiting = Effect.gen(function*() {
  const cluster = new FakeCluster(["dkv-0", "dkv-1"])
  const { control, self } = yield* cluster.start("dkv-1")
  const memberId = self.record().memberId
  const ask = (request: ControlMessage.Request) =>
    Effect.provideService(answer(self, request), Control.Control, control)
  const clusterOf = () => Option.getOrUndefined(self.record().clusterId)
  return { ask, clusterOf, memberId }
})

describe("a member that belongs to nothing", () => {
  it.effect("is in a cluster once it is told so, and stays in it", () =>
    Effect.gen(function*() {
      const { ask, clusterOf, memberId } = yield* waiting
      const told = { _tag: "Adopt", version, memberId, clusterId, configuration: empty } as const
      assert.strictEqual((yield* ask(told))._tag, "Accepted")
      assert.strictEqual((yield* ask(told))._tag, "Accepted")
      const other = yield* ask({ ...told, clusterId: "00000000000000dd" })
      assert.deepInclude(other, { _tag: "Refused", reason: "OtherCluster" })
      assert.strictEqual(clusterOf(), clusterId)
    }))

  it.effect("does not take to itself what is meant for a former member at its address", () =>
    Effect.gen(function*() {
      const { ask, clusterOf } = yield* waiting
      const former = "00000000000000ff"
      const adopt = yield* ask({ _tag: "Adopt", version, memberId: former, clusterId, configuration: empty })
      const found = yield* ask({ _tag: "Found", version, memberId: former, clusterId, configuration: empty })
      for (const refused of [adopt, found]) assert.deepInclude(refused, { _tag: "Refused", reason: "OtherMember" })
      assert.isUndefined(clusterOf())
    }))

  it.effect("is not founded by a configuration that it is not in", () =>
    Effect.gen(function*() {
      const { ask, clusterOf, memberId } = yield* waiting
      const found = yield* ask({ _tag: "Found", version, memberId, clusterId, configuration: empty })
      assert.strictEqual(found._tag, "Refused")
      assert.isUndefined(clusterOf())
    }))

  it.effect("lets nobody in", () =>
    Effect.gen(function*() {
      const { ask } = yield* waiting
      const member = {
        id: "00000000000000aa",
        name: "dkv-2",
        peerAddress: "",
        clientAddress: "",
        autoPromote: true,
        witness: false,
        priority: 0
      }
      const join = yield* ask({ _tag: "Join", version, clusterId, member, forwarded: false })
      assert.deepInclude(join, { _tag: "Refused", reason: "NotReady" })
    }))

  it.effect("refuses another version of the messages in words", () =>
    Effect.gen(function*() {
      const { ask } = yield* waiting
      const newer = yield* ask({ _tag: "Probe", version: version + 1, name: "dkv-9", memberId: "00000000000000aa" })
      assert.deepInclude(newer, { _tag: "Refused", reason: "Unsupported" })
    }))
})

describe("the peer port", () => {
  it.effect("answers what is no message at all with a refusal", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(["dkv-0", "dkv-1"])
      yield* cluster.start("dkv-1")
      const handler = cluster.handlers.get("dkv-1:2380")!
      for (const text of ["", "{}", "null", "{\"_tag\":\"Burn\",\"version\":1}", "\u0000\u0001"]) {
        const bytes = yield* handler(new TextEncoder().encode(text))
        assert.deepInclude(yield* ControlMessage.decodeAnswer(bytes), { _tag: "Refused", reason: "Unsupported" })
      }
    }))
})

describe("a request to join", () => {
  it.effect("is passed on to the leader once, and not in a circle", () =>
    Effect.gen(function*() {
      const names = ["dkv-0", "dkv-1", "dkv-2"]
      const cluster = new FakeCluster(names)
      const processes = yield* Effect.forEach(names, (name) => cluster.start(name))
      yield* TestClock.adjust("10 seconds")
      const records = yield* Effect.forEach(processes, settled)
      cluster.leader = "00000000000000ff"
      cluster.configuration = {
        ...cluster.configuration,
        members: cluster.configuration.members.map((member) =>
          member.name === "dkv-0" ? { ...member, id: cluster.leader } : member
        )
      }
      cluster.sent.length = 0
      const { control, self } = processes[1]!
      const member = { ...cluster.configuration.members[2]!, id: "00000000000000aa" }
      const refused = yield* answer(self, {
        _tag: "Join",
        version,
        clusterId: Option.getOrThrow(records[1]!.clusterId),
        member,
        forwarded: false
      }).pipe(Effect.provideService(Control.Control, control))
      assert.deepInclude(refused, { _tag: "Refused", reason: "NotReady" })
      assert.strictEqual(cluster.sent.length, 1)
    }))
})

describe("a configuration from a member that knows no settings yet", () => {
  it.effect("is read with the defaults", () =>
    Effect.gen(function*() {
      const { settings, ...older } = empty
      const told = { _tag: "Adopt", version, memberId: "00000000000000aa", clusterId, configuration: older } as const
      const read = yield* ControlMessage.decodeRequest(new TextEncoder().encode(JSON.stringify(told)))
      assert.deepStrictEqual(read, { ...told, configuration: { ...older, settings } })
    }))
})
