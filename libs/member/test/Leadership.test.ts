/** What members tell the clients of their batch connections about leadership. */
import { BatchReply, Frame, Hello, Limits } from "@dkv/protocol"
import type { Loopback } from "@dkv/protocol"
import { assert, it } from "@effect/vitest"
import { Effect, Option, type Scope } from "effect"
import { Socket } from "effect/socket"
import { isUp, listOf, passing, services, until, world } from "./Members.ts"

const names = ["dkv-0", "dkv-1", "dkv-2"]

/** Connects, and gathers the codes of all notices that come. */
const listen = Effect.fnUntraced(function*(
  loopback: Loopback.Loopback["Service"],
  address: string
): Effect.fn.Return<ReadonlyArray<string>, Socket.SocketError, Scope.Scope> {
  const codes: Array<string> = []
  const socket = loopback.connect(address)
  const pull = yield* Socket.readerBytes(socket)
  const writer = yield* socket.writer
  yield* writer.write(Hello.encodeClient("batch"))
  const decoder = new Frame.Decoder(Limits.replyBytesMax)
  let rest = Hello.serverHelloHeadBytes
  const read = Effect.map(pull, (chunks) => {
    for (const chunk of chunks) {
      const skipped = Math.min(rest, chunk.length)
      rest -= skipped
      decoder.push(chunk.subarray(skipped), (frame) => {
        const reply = BatchReply.decode(frame)
        codes.push("code" in reply ? reply.code : reply._tag)
      })
    }
  })
  yield* Effect.forkScoped(Effect.forever(read))
  return codes
})

it.effect("a member says whether it leads, at once and whenever another one becomes leader", () =>
  Effect.gen(function*() {
    const { loopback, start } = yield* world
    const members = yield* Effect.forEach(names, (name) => start(name, listOf(names)))
    for (const member of members) yield* until(isUp(member))
    const all = yield* Effect.forEach(members, services)
    const leads = Effect.map(
      Effect.forEach(all, ({ dkv }) => dkv.status),
      (statuses) => statuses.findIndex(({ role }) => role === "Leader")
    )
    yield* until(Effect.map(leads, (index) => index >= 0))
    const old = yield* leads
    const heard = yield* Effect.forEach(names, (name) => listen(loopback, `${name}:3000`))
    yield* until(Effect.sync(() => heard.every((codes) => codes.length > 0)))
    assert.deepStrictEqual(heard, names.map((_, index) => [index === old ? "Leading" : "NotLeading"]))
    yield* passing(all[old]!.node.transferLeadership(Option.none()))
    yield* until(Effect.sync(() => heard.every((codes) => codes.length > 1)))
    const fresh = yield* leads
    assert.notStrictEqual(fresh, old)
    assert.deepStrictEqual(
      heard.map((codes) => codes.at(-1)),
      names.map((_, index) => index === fresh ? "Leading" : "NotLeading")
    )
  }).pipe(Effect.scoped))
