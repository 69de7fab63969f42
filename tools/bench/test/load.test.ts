import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Schedule } from "effect"
import * as Http2 from "node:http2"
import type { AddressInfo } from "node:net"
import * as CeilingCluster from "../src/clusters/CeilingCluster.ts"
import * as Frames from "../src/ceiling/Frames.ts"
import { keyBytes, keys, valueBytes } from "../src/Limits.ts"
import * as CeilingDriver from "../src/load/CeilingDriver.ts"
import type { Driver } from "../src/load/Driver.ts"
import * as EtcdHttp2Driver from "../src/load/EtcdHttp2Driver.ts"
import * as EtcdRawDriver from "../src/load/EtcdRawDriver.ts"
import * as Generator from "../src/load/Generator.ts"
import { Meter } from "../src/load/Meter.ts"
import { keyOf, value } from "../src/load/Workload.ts"

/** A gRPC server of Node's own that keeps what it was sent, and answers each call with `answer`. */
const recorder = (answer: Uint8Array) =>
  Effect.acquireRelease(
    Effect.callback<
      { readonly address: string; readonly calls: Array<{ path: string; body: Buffer }>; readonly close: () => void }
    >(
      (resume) => {
        const calls: Array<{ path: string; body: Buffer }> = []
        const sessions = new Set<Http2.ServerHttp2Session>()
        const server = Http2.createServer()
        server.on("session", (session) => sessions.add(session))
        server.on("stream", (stream, headers) => {
          const chunks: Array<Buffer> = []
          stream.on("error", () => stream.destroy())
          stream.on("data", (chunk: Buffer) => chunks.push(chunk))
          stream.on("end", () => {
            calls.push({
              path: `${headers[":method"]} ${headers[":path"]} ${headers["content-type"]} ${headers.te}`,
              body: Buffer.concat(chunks)
            })
            stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true })
            stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }))
            stream.end(answer)
          })
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          resume(Effect.succeed({
            address: `127.0.0.1:${port}`,
            calls,
            close: () => {
              for (const session of sessions) session.destroy()
              server.close()
            }
          }))
        })
      }
    ),
    (server) => Effect.sync(server.close)
  )

const message = (bytes: number): Uint8Array => {
  const frame = Buffer.alloc(5 + bytes)
  frame.writeUInt32BE(bytes, 1)
  return frame
}

const clients: ReadonlyArray<readonly [string, (endpoints: ReadonlyArray<string>) => Driver]> = [
  ["raw", EtcdRawDriver.make],
  ["http2", EtcdHttp2Driver.make]
]

for (const [name, make] of clients) {
  describe(`the ${name} client for etcd`, () => {
    it.live("sends each call as one gRPC message with the key of its turn", () =>
      Effect.gen(function*() {
        const server = yield* recorder(message(2))
        const meter = new Meter(500)
        yield* make([server.address]).run({ operation: "put", callers: 40, connections: 3, meter })
        assert.strictEqual(meter.answered, 500)
        assert.strictEqual(meter.outstanding, 0)
        assert.deepStrictEqual(
          [...new Set(server.calls.map((call) => call.path))],
          ["POST /etcdserverpb.KV/Put application/grpc trailers"]
        )
        const put = 2 + keyBytes + 3 + valueBytes
        assert.isTrue(server.calls.every(({ body }) => body.length === 5 + put && body.readUInt32BE(1) === put))
        assert.isTrue(server.calls.every(({ body }) => body.subarray(body.length - valueBytes).equals(value)))
        const sent = server.calls.map(({ body }) => body.subarray(7, 7 + keyBytes).toString()).sort()
        const expected = Array.from({ length: 500 }, (_, index) => Buffer.from(keyOf(index + 1)).toString()).sort()
        assert.deepStrictEqual(sent, expected)
      }).pipe(Effect.scoped))

    it.live("makes more calls than a connection's window holds", () =>
      Effect.gen(function*() {
        const server = yield* recorder(message(2))
        const meter = new Meter(3000)
        yield* make([server.address]).run({ operation: "put", callers: 1000, connections: 1, meter })
        assert.strictEqual(server.calls.length, 3000)
      }).pipe(Effect.scoped))

    it.live("fails when a call is answered with an error", () =>
      Effect.gen(function*() {
        const server = yield* recorder(new Uint8Array(0))
        const error = yield* Effect.flip(
          make([server.address]).run({ operation: "put", callers: 4, connections: 1, meter: new Meter() })
        )
        assert.strictEqual(error._tag, "DriverError")
      }).pipe(Effect.scoped))

    it.live("fails when a read finds no value", () =>
      Effect.gen(function*() {
        const server = yield* recorder(message(20))
        const error = yield* Effect.flip(
          make([server.address]).run({ operation: "get", callers: 4, connections: 1, meter: new Meter() })
        )
        assert.strictEqual(error._tag, "DriverError")
      }).pipe(Effect.scoped))

    it.live("fails when nobody listens", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          make(["127.0.0.1:1"]).run({ operation: "put", callers: 4, connections: 1, meter: new Meter() })
        )
        assert.include(error.message, "ECONNREFUSED")
      }).pipe(Effect.scoped))
  })
}

describe("the frames of the ceiling", () => {
  it("come out whole, however the bytes were cut", () => {
    const frames = [Buffer.from("first"), Buffer.alloc(0), Buffer.from("the third")]
    const bytes = Buffer.concat(frames.flatMap((frame) => {
      const length = Buffer.alloc(4)
      length.writeUInt32LE(frame.length)
      return [length, frame]
    }))
    for (let cut = 1; cut <= bytes.length; cut++) {
      const got: Array<string> = []
      const read = Frames.reader((whole) => got.push(...whole.map(String)), assert.fail)
      for (let at = 0; at < bytes.length; at += cut) read(bytes.subarray(at, at + cut))
      assert.deepStrictEqual(got, frames.map(String))
    }
  })

  it("are refused when they claim to be larger than any frame can be", () => {
    const failures: Array<string> = []
    Frames.reader(() => assert.fail(), (failure) => failures.push(failure))(Buffer.from([255, 255, 255, 255]))
    assert.strictEqual(failures.length, 1)
  })
})

describe("the ceiling", () => {
  it.live("has every put on a majority of its members when the last one is answered", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const directory = yield* files.makeTempDirectoryScoped({ prefix: "dkv-bench-test-" })
      const cluster = yield* CeilingCluster.start(directory)
      const generator = yield* Generator.start(
        { system: "ceiling", endpoints: cluster.endpoints, dkvClients: 1, etcdClient: "raw" },
        `${directory}/generator.log`
      )
      yield* generator.fill
      const logs = yield* Effect.forEach(cluster.members, (member) => files.stat(`${directory}/${member.name}/log`))
      const whole = logs.filter((log) => Number(log.size) >= keys * (keyBytes + valueBytes))
      assert.isAtLeast(whole.length, 2)
      const error = yield* Effect.flip(generator.measure({
        operation: "get",
        callers: 1,
        connections: 1,
        warmupMillis: 0,
        measureMillis: 10,
        pids: []
      }))
      assert.include(error.message, "no reads")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 30_000)

  it.live("answers a put that two of the three have, and none that only one has", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const directory = yield* files.makeTempDirectoryScoped({ prefix: "dkv-bench-test-" })
      const cluster = yield* CeilingCluster.start(directory)
      const [leader, first, second] = cluster.members
      const frozen = [first!.pid, second!.pid]
      yield* Effect.sync(() => frozen.forEach((pid) => process.kill(pid, "SIGSTOP")))
      yield* Effect.addFinalizer(() => Effect.sync(() => frozen.forEach((pid) => process.kill(pid, "SIGCONT"))))
      const meter = new Meter(1)
      const load = yield* CeilingDriver.make(cluster.endpoints[0]!).run({
        operation: "put",
        callers: 1,
        connections: 1,
        meter
      }).pipe(Effect.forkScoped)
      yield* files.stat(`${directory}/${leader!.name}/log`).pipe(
        Effect.repeat({ until: (log) => Number(log.size) > 0, schedule: Schedule.spaced("10 millis") })
      )
      yield* Effect.sleep("200 millis")
      assert.strictEqual(meter.answered, 0)
      process.kill(frozen[0]!, "SIGCONT")
      yield* Fiber.join(load)
      assert.strictEqual(meter.answered, 1)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 30_000)
})
