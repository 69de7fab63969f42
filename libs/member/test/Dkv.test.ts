import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { isUp, listOf, passing, services, stop, until, world } from "./Members.ts"
import type { Running } from "./Members.ts"

const names = ["dkv-0", "dkv-1", "dkv-2"]
const list = listOf(names)
const bytes = (text: string) => new TextEncoder().encode(text)

const write = (member: Running, key: string, value: string) =>
  Effect.gen(function*() {
    const { kv } = yield* services(member)
    return yield* kv.write([{ _tag: "Put", key: bytes(key), value: bytes(value) }], { timeoutMillis: 5000 })
  })

const read = (member: Running, key: string) =>
  Effect.gen(function*() {
    const { kv } = yield* services(member)
    const [result] = yield* kv.read([{ key: bytes(key), end: new Uint8Array(0), limit: 1, reverse: false }], {
      consistency: "linearizable",
      timeoutMillis: 5000
    })
    return result?._tag === "Range" ? result.kvs.map((kv) => new TextDecoder().decode(kv.value)) : []
  })

const startAll = Effect.gen(function*() {
  const { network, start } = yield* world
  const members = yield* Effect.forEach(names, (name) => start(name, list))
  for (const member of members) yield* until(isUp(member))
  const leader = Effect.gen(function*() {
    const all = yield* Effect.forEach(members, services)
    for (const each of all) {
      const status = yield* each.dkv.status
      if (status.role === "Leader") return Option.some(each)
    }
    return Option.none()
  })
  yield* until(Effect.map(leader, Option.isSome))
  return { network, start, members, leader }
})

describe("three members in one program", () => {
  it.effect("found one cluster, and what is written through one is read through the others", () =>
    Effect.gen(function*() {
      const { members } = yield* startAll
      const dkvs = yield* Effect.forEach(members, services)
      assert.strictEqual(new Set(dkvs.map(({ dkv }) => dkv.clusterId)).size, 1)
      yield* passing(write(members[0]!, "greeting", "hello"))
      for (const member of members) assert.deepStrictEqual(yield* passing(read(member, "greeting")), ["hello"])
      const { configuration } = yield* dkvs[0]!.dkv.status
      assert.deepStrictEqual(configuration.members.map((member) => member.name), names)
      assert.deepStrictEqual(
        configuration.members.map((member) => member.clientAddress),
        names.map((name) => `${name}:3000`)
      )
    }))

  it.effect("a comparison that fails shows its client what stands there, but for a value of more than 1 KiB", () =>
    Effect.gen(function*() {
      const { members } = yield* startAll
      for (const member of members) {
        const { client } = yield* services(member)
        for (const [size, shown] of [[1024, 1024], [1025, undefined], [1_500_000, undefined]] as const) {
          const { revision } = yield* passing(client.put("k", new Uint8Array(size)))
          const calls = [client.compareAndSwap("k", 1, "x"), client.compareAndDelete("k", 1)]
          for (const refused of yield* passing(Effect.all(calls, { concurrency: "unbounded" }))) {
            assert.isFalse(refused.succeeded)
            const { key, modRevision, value } = Option.getOrThrow(refused.current)
            assert.strictEqual(new TextDecoder().decode(key), "k")
            assert.strictEqual(modRevision, revision)
            assert.strictEqual(Option.getOrUndefined(value)?.length, shown)
          }
        }
      }
    }))

  it.effect("a leader that stops hands over before it goes", () =>
    Effect.gen(function*() {
      const { leader, members } = yield* startAll
      const old = Option.getOrThrow(yield* leader)
      yield* passing(write(members[0]!, "k", "v"))
      const index = names.indexOf(old.dkv.name)
      const { term } = yield* old.dkv.status
      yield* stop(members[index]!)
      const others = yield* Effect.forEach(members.filter((_, other) => other !== index), services)
      const roles = yield* Effect.forEach(others, ({ dkv }) => dkv.status)
      assert.isTrue(roles.some((status) => status.role === "Leader" && status.term === term + 1))
    }))

  it.effect("one that lost everything comes back under a new id as a voter, and the old id is gone", () =>
    Effect.gen(function*() {
      const { members, start } = yield* startAll
      yield* passing(write(members[0]!, "k", "v"))
      const lost = (yield* services(members[2]!)).dkv.memberId
      yield* stop(members[2]!)
      const again = yield* start("dkv-2", list)
      yield* until(isUp(again))
      const { dkv } = yield* services(again)
      assert.notStrictEqual(dkv.memberId, lost)
      const isVoter = Effect.map(
        dkv.status,
        ({ configuration }) => configuration.voters.includes(dkv.memberId) && configuration.outgoing.length === 0
      )
      yield* until(isVoter)
      const { configuration } = yield* dkv.status
      assert.deepStrictEqual(configuration.members.map((member) => member.id).includes(lost), false)
      assert.strictEqual(configuration.voters.length, 3)
      assert.deepStrictEqual(yield* passing(read(again, "k")), ["v"])
    }))

  it.effect("one that is removed stops and says why", () =>
    Effect.gen(function*() {
      const { leader, members } = yield* startAll
      const leading = Option.getOrThrow(yield* leader)
      const index = names.findIndex((name) => name !== leading.dkv.name)
      const { dkv } = yield* services(members[index]!)
      const stopped = yield* Effect.forkChild(Effect.flip(dkv.stopped), { startImmediately: true })
      yield* passing(leading.node.changeMembership({ _tag: "Leave", id: dkv.memberId, force: false }))
      yield* until(Effect.sync(() => stopped.pollUnsafe() !== undefined))
      const reason = yield* passing(Effect.flip(dkv.stopped))
      assert.match(reason.message, /was removed from the cluster and stays out.*dkvctl member-join/)
    }))

  it.effect("one that was removed while it was away stops when it comes back with its data", () =>
    Effect.gen(function*() {
      const { leader, members, network } = yield* startAll
      const leading = Option.getOrThrow(yield* leader)
      const index = names.findIndex((name) => name !== leading.dkv.name)
      const { dkv } = yield* services(members[index]!)
      const away = `${dkv.name}:2380`
      const others = list.map((each) => each.peerAddress).filter((address) => address !== away)
      yield* network.partition([away], others)
      yield* passing(leading.node.changeMembership({ _tag: "Leave", id: dkv.memberId, force: false }))
      yield* passing(Effect.sleep("10 seconds"))
      yield* network.heal
      const reason = yield* passing(Effect.flip(dkv.stopped))
      assert.match(reason.message, /was removed from the cluster and stays out/)
    }))
})
