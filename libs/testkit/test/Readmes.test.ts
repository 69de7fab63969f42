/** The examples of those READMEs that need more libraries than the one they belong to. Each stands here as a file too, so that its types are checked. */
import { ClientPort } from "@dkv/server"
import { Dkv, MemoryParts } from "@dkv/member"
import { Address, Loopback } from "@dkv/protocol"
import { MemoryNetwork } from "@dkv/transport"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

const testkit = Path.join(import.meta.dirname, "..")

const examplesIn = (library: string): ReadonlyArray<string> => {
  const readme = Fs.readFileSync(Path.join(testkit, "..", library, "README.md"), "utf8")
  return Array.from(readme.matchAll(/```ts\n([^]*?)```/g), ([, source]) => source!)
}

const exampleIn = (library: string): string => examplesIn(library)[0]!

/** Runs the source as a program, and fails with what it says if it fails. */
const output = (source: string) =>
  Effect.callback<string>((resume) => {
    const child = execFile(
      process.execPath,
      ["--input-type=module-typescript", "-e", source],
      { cwd: testkit, encoding: "utf8", env: { ...process.env, FORCE_COLOR: "0" } },
      (error, said) => resume(error === null ? Effect.succeed(said.trim()) : Effect.die(error))
    )
    return Effect.sync(() => child.kill())
  })

/** A member in memory, with its client port on TCP. Where it listens. */
const served = Effect.gen(function*() {
  const names = { peerAddress: "alone:2380", clientAddress: "alone:3000" }
  let addresses: ReadonlyArray<Address.Address> = []
  const clientPort = Layer.effectDiscard(
    Effect.map(ClientPort.ClientPort, (port) => void (addresses = port.addresses))
  ).pipe(Layer.provide(Layer.orDie(ClientPort.layer({ address: "127.0.0.1:0" }))))
  yield* Layer.build(
    Dkv.layer({
      name: "alone",
      version: "1.0.0",
      initialCluster: [{ name: "alone", peerAddress: "alone:2380" }],
      initialClusterState: "new",
      forceNewCluster: false,
      electionTimeoutMillis: 100,
      heartbeatMillis: 10,
      ...names
    }, { ...MemoryParts.make(names), clientPort }).pipe(
      Layer.provide([MemoryNetwork.MemoryNetwork.layer, Loopback.Loopback.layer])
    )
  )
  return Address.format(addresses[0]!)
})

/** Where the client's example looks for a cluster. */
const endpoints = /"127\.0\.0\.1:3000", "127\.0\.0\.1:3001"/

const libraries = [
  ["raft", ["Raft.ts"]],
  ["server", ["Server.ts"]],
  ["client", ["Client.ts"]],
  ["testkit", ["Testkit.ts", "Counter.ts", "CounterContract.ts", "Journal.ts", "Hidden.ts"]]
] as const

describe("README", () => {
  for (const [library, files] of libraries) {
    it(`the examples of ${library} are those that are checked here`, () => {
      const texts = files.map((file) => Fs.readFileSync(Path.join(testkit, "test", "examples", file), "utf8"))
      assert.deepStrictEqual(examplesIn(library).slice(0, texts.length), texts)
    })
  }

  it("the examples of testkit have fewer than 30 lines each", () => {
    for (const example of examplesIn("testkit")) assert.isBelow(example.trimEnd().split("\n").length, 30, example)
  })

  for (const [library, files] of libraries) {
    if (library === "client") continue
    it.live(`the examples of ${library} run as they stand and print what they say`, () =>
      Effect.gen(function*() {
        for (const example of examplesIn(library).slice(0, files.length)) {
          assert.strictEqual(yield* output(example), /\/\/ => (.*)/.exec(example)![1])
        }
      }), 120_000)
  }

  it.live("the example of client prints what it says, on a cluster", () =>
    Effect.gen(function*() {
      const example = exampleIn("client")
      assert.match(example, endpoints)
      const said = yield* output(example.replace(endpoints, JSON.stringify(yield* served)))
      assert.strictEqual(said, /\/\/ => (.*)/.exec(example)![1])
    }).pipe(Effect.scoped))
})
