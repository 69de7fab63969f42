/** Health, version and other routes over HTTP/1.1, as probes written for etcd ask for them. */
import { Kv } from "@dkv/kv"
import { RaftError, RaftNode } from "@dkv/raft"
import { BatchGateway, ClientPort, Gateways, HttpGateway, HttpRoutes, MemberInfo } from "@dkv/server"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, References } from "effect"
import { dial, info, node, open, said, status, until } from "./clientPortParts.ts"
import type { Port } from "./clientPortParts.ts"

const ask = Effect.fnUntraced(function*(port: Port, target: string, method = "GET") {
  const peer = yield* dial(port)
  peer.socket.write(`${method} ${target} HTTP/1.1\r\nhost: me\r\nconnection: close\r\n\r\n`)
  yield* until(() => peer.isClosed)
  const [head = "", body = ""] = said(peer).split("\r\n\r\n")
  return { status: Number(head.split(" ")[1]), head: head.toLowerCase(), body }
})

const failing = (reason: RaftError["reason"], message: string) => () => Effect.fail(new RaftError({ reason, message }))
const noLeader = { readBarrier: failing("NoLeader", "no leader"), configuration: failing("NoLeader", "no leader") }
const fenced = { fenced: Effect.succeed(Option.some("its log is damaged")) }
const learner = { status: Effect.succeed({ ...status, role: "Learner" as const }) }

describe("HTTP", () => {
  for (
    const [target, code] of [
      ["//", 404],
      ["///health", 404],
      ["http://[", 400],
      ["*", 400],
      ["http://elsewhere/version", 200],
      ["/", 404],
      ["/healthy", 404],
      ["/health/more", 404],
      ["/version/more", 404],
      ["/readyz/no_such_check", 404],
      ["/readyz/non_learner/more", 404],
      ["/%", 404]
    ] as const
  ) {
    it.live(`a request for ${target} is answered by ${code}, and the member lives on`, () =>
      Effect.gen(function*() {
        const port = yield* open()
        assert.strictEqual((yield* ask(port, target)).status, code)
        assert.strictEqual((yield* ask(port, "/health")).status, 200)
      }).pipe(Effect.scoped))
  }

  for (const method of ["POST", "PUT", "DELETE"]) {
    it.live(`${method} on a probe is answered by 405, with what is allowed`, () =>
      Effect.gen(function*() {
        const answer = yield* ask(yield* open(), "/health", method)
        assert.strictEqual(answer.status, 405)
        assert.include(answer.head, "allow: get, head")
      }).pipe(Effect.scoped))
  }

  for (const target of ["/health", "/livez", "/readyz", "/version"]) {
    it.live(`HEAD ${target} is GET without the body`, () =>
      Effect.gen(function*() {
        const port = yield* open()
        const get = yield* ask(port, target)
        const head = yield* ask(port, target, "HEAD")
        const undated = (text: string) => text.replace(/date: .*/, "")
        assert.deepStrictEqual([head.status, head.body, undated(head.head)], [200, "", undated(get.head)])
        assert.isAbove(get.body.length, 0)
      }).pipe(Effect.scoped))
  }

  it.live("/version has the fields of etcd", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(JSON.parse((yield* ask(yield* open(), "/version")).body), {
        etcdserver: "1.2.3",
        etcdcluster: "1.2.0",
        storage: "1.2.0",
        dkv: "1.2.3",
        name: "a"
      })
    }).pipe(Effect.scoped))

  it.live("a member that is well passes every check", () =>
    Effect.gen(function*() {
      const port = yield* open()
      assert.deepStrictEqual(JSON.parse((yield* ask(port, "/health")).body), { health: "true", reason: "" })
      assert.strictEqual((yield* ask(port, "/livez")).body, "ok\n")
      assert.strictEqual((yield* ask(port, "/readyz")).body, "ok\n")
      assert.strictEqual((yield* ask(port, "/livez?verbose")).body, "[+]serializable_read ok\nok\n")
      assert.strictEqual(
        (yield* ask(port, "/readyz?verbose")).body,
        "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n"
      )
      assert.strictEqual((yield* ask(port, "/readyz/linearizable_read?verbose")).body, "[+]linearizable_read ok\nok\n")
    }).pipe(Effect.scoped))

  it.live("a member without a leader lives, but is not ready", () =>
    Effect.gen(function*() {
      const port = yield* open({ node: noLeader })
      const health = yield* ask(port, "/health")
      assert.deepStrictEqual([health.status, JSON.parse(health.body)], [503, { health: "false", reason: "no leader" }])
      assert.strictEqual((yield* ask(port, "/health?serializable=true")).status, 200)
      assert.strictEqual((yield* ask(port, "/livez")).status, 200)
      const readyz = yield* ask(port, "/readyz")
      assert.strictEqual(readyz.status, 503)
      assert.include(readyz.body, "[+]serializable_read ok\n[-]linearizable_read failed: no leader\n")
      assert.strictEqual((yield* ask(port, "/readyz?exclude=linearizable_read")).status, 200)
      assert.strictEqual((yield* ask(port, "/readyz/linearizable_read")).status, 503)
    }).pipe(Effect.scoped))

  it.live("a fenced member fails every probe", () =>
    Effect.gen(function*() {
      const port = yield* open({ info: fenced })
      for (const target of ["/health", "/health?serializable=true", "/livez", "/readyz", "/readyz/data_corruption"]) {
        const answer = yield* ask(port, target)
        assert.strictEqual(answer.status, 503, target)
        assert.include(answer.body, "its log is damaged")
      }
    }).pipe(Effect.scoped))

  it.live("a learner lives, but is not ready", () =>
    Effect.gen(function*() {
      const port = yield* open({ node: learner })
      assert.strictEqual((yield* ask(port, "/livez")).status, 200)
      assert.include((yield* ask(port, "/readyz")).body, "[-]non_learner failed: this member is a learner\n")
    }).pipe(Effect.scoped))

  it.live("a witness lives and is well, but is not ready: it has nothing to read", () =>
    Effect.gen(function*() {
      const port = yield* open({ node: { readBarrier: failing("Witness", "this is a witness") } })
      assert.strictEqual((yield* ask(port, "/livez")).status, 200)
      assert.strictEqual((yield* ask(port, "/health")).status, 200)
      assert.include((yield* ask(port, "/readyz")).body, "[-]linearizable_read failed: this is a witness\n")
    }).pipe(Effect.scoped))

  it.live("a check that breaks off is answered by 500, and the member lives on", () =>
    Effect.gen(function*() {
      const port = yield* open({ node: { readBarrier: () => Effect.die(new Error("broken")) } })
      assert.strictEqual((yield* ask(port, "/readyz")).status, 500)
      assert.strictEqual((yield* ask(port, "/livez")).status, 200)
    }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None")))

  it.live("a layer adds routes of its own beside the probes", () =>
    Effect.gen(function*() {
      const echo = Layer.effectDiscard(
        Effect.flatMap(HttpRoutes.HttpRoutes, (routes) =>
          routes.add("echo", ({ method, rest, url }) =>
            Effect.succeed(HttpRoutes.json(201, { method, rest, search: url.search }))))
      ).pipe(Layer.provide(HttpRoutes.HttpRoutes.layer))
      const gateways = Layer.mergeAll(BatchGateway.layer, HttpGateway.layer, echo).pipe(
        Layer.provide([
          Layer.succeed(Kv.Kv, {
            write: () =>
              Effect.never,
            read: () =>
              Effect.never
          }),
          Layer.succeed(RaftNode.RaftNode, node),
          Layer.succeed(MemberInfo.MemberInfo, info)
        ]),
        Layer.provideMerge(Gateways.Gateways.layer)
      )
      const context = yield* Layer.build(ClientPort.layer({ address: "127.0.0.1:0" }).pipe(Layer.provide(gateways)))
      const port = Context.get(context, ClientPort.ClientPort)
      const answer = yield* ask(port, "/echo/a/b?c=d", "PUT")
      assert.strictEqual(answer.status, 201)
      assert.deepStrictEqual(JSON.parse(answer.body), { method: "PUT", rest: ["a", "b"], search: "?c=d" })
      assert.strictEqual((yield* ask(port, "/livez")).status, 200)
      assert.include((yield* ask(port, "/")).body, "/echo /health /livez /readyz /version")
    }).pipe(Effect.scoped))
})
