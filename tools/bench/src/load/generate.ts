/**
 * The process that makes the load, so that what it uses is not mixed up with what it measures. Its argument says where to (`Target`); each line of its standard input
 * is a `Command`, and each line of its standard output the answer. It ends with its input.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, Schema, Stdio, Stream } from "effect"
import * as CeilingDriver from "./CeilingDriver.ts"
import * as DkvDriver from "./DkvDriver.ts"
import type { Driver } from "./Driver.ts"
import * as EtcdHttp2Driver from "./EtcdHttp2Driver.ts"
import * as EtcdRawDriver from "./EtcdRawDriver.ts"
import { measure } from "./Measure.ts"
import * as Protocol from "./Protocol.ts"

const makeDriver = Effect.fnUntraced(function*(target: Protocol.Target) {
  switch (target.system) {
    case "ceiling":
      return CeilingDriver.make(target.endpoints[0] ?? "")
    case "etcd":
      return (target.etcdClient === "raw" ? EtcdRawDriver : EtcdHttp2Driver).make(target.endpoints)
    case "dkv":
      return yield* DkvDriver.make(target.endpoints, target.dkvClients)
  }
})

const answer = Effect.fnUntraced(function*(driver: Driver, line: string) {
  const command = yield* Schema.decodeEffect(Protocol.CommandLine)(line)
  return yield* measure(driver, command).pipe(
    Effect.map((measurement): Protocol.Answer => ({ _tag: "Measured", measurement })),
    Effect.catchTag(
      "DriverError",
      (error) => Effect.succeed<Protocol.Answer>({ _tag: "Failed", message: error.message })
    )
  )
})

const program = Effect.gen(function*() {
  const target = yield* Schema.decodeEffect(Protocol.TargetLine)(process.argv[2] ?? "")
  const driver = yield* makeDriver(target)
  const stdio = yield* Stdio.Stdio
  yield* stdio.stdin.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.filter((line) => line !== ""),
    Stream.mapEffect((line) => answer(driver, line)),
    Stream.mapEffect((result) => Schema.encodeEffect(Protocol.AnswerLine)(result)),
    Stream.runForEach((line) => Console.log(line))
  )
}).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

NodeRuntime.runMain(program)
