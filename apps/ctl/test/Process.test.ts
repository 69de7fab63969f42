import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const program = (path: string) => fileURLToPath(new URL(path, import.meta.url))

const launch = (path: string, args: ReadonlyArray<string>, cwd: string): ChildProcess =>
  spawn(process.execPath, [program(path), ...args], { cwd, env: { PATH: process.env.PATH ?? "" }, stdio: "pipe" })

/** Runs `dkvctl` with an empty environment, so that what is in the variables of the machine does not matter. */
const dkvctl = (cwd: string, args: ReadonlyArray<string>, input: Uint8Array = new Uint8Array(0)) =>
  Effect.callback<{ readonly exitCode: number; readonly output: Buffer; readonly error: string }>((resume) => {
    const child = launch("../src/main.ts", args, cwd)
    const output: Array<Buffer> = []
    let error = ""
    child.stdout!.on("data", (chunk: Buffer) => output.push(chunk))
    child.stderr!.on("data", (chunk) => error += String(chunk))
    child.on("close", (code) => resume(Effect.succeed({ exitCode: code ?? -1, output: Buffer.concat(output), error })))
    child.stdin!.end(input)
  })

/** A port that nobody listens on, below those that systems give to outgoing connections. */
const freePort: Effect.Effect<number> = Effect.suspend(() =>
  Effect.flatMap(
    Random.nextIntBetween(10_000, 32_000),
    (port) => Effect.flatMap(isFree(port), (free) => free ? Effect.succeed(port) : freePort)
  )
)

const isFree = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(true))))
  })

const directory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dkvctl-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

/** A cluster of one real member. */
const member = Effect.gen(function*() {
  const cwd = yield* directory
  const [peer, client] = [yield* freePort, yield* freePort]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      launch("../../node/src/main.ts", [
        "--name=dkv-0",
        `--initial-cluster=dkv-0=localhost:${peer}`,
        `--listen-peer-address=localhost:${peer}`,
        `--listen-client-address=localhost:${client}`
      ], cwd)
    ),
    (child) =>
      Effect.callback<void>((resume) => {
        child.on("close", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )
  yield* Effect.callback<void>((resume) => {
    let log = ""
    child.stderr!.on("data", (chunk) => {
      log += String(chunk)
      if (/leads in term/.test(log)) resume(Effect.void)
    })
  })
  return { cwd, endpoint: `localhost:${client}` }
})

describe("dkvctl and a real member", () => {
  it.live(
    "a value of any bytes is set from the input, and got as it was; exit codes say what happened",
    () =>
      Effect.gen(function*() {
        const { cwd, endpoint } = yield* member
        const at = `--endpoint=${endpoint}`
        const value = Uint8Array.from({ length: 100_000 }, (_, index) => (index * 31) % 256)
        assert.strictEqual((yield* dkvctl(cwd, [at, "set", "blob", "-"], value)).exitCode, 0)
        const got = yield* dkvctl(cwd, [at, "get", "blob"])
        assert.isTrue(got.output.equals(value))
        Fs.writeFileSync(`${cwd}/.env`, `DKVCTL_ENDPOINT=${endpoint}\n`)
        const missing = yield* dkvctl(cwd, ["get", "nothing"])
        assert.deepStrictEqual([missing.exitCode, missing.error], [3, "dkvctl: there is no key nothing\n"])
        const tooLarge = yield* dkvctl(cwd, ["set", "k".repeat(9000), "v"])
        assert.strictEqual(tooLarge.exitCode, 2)
        const nobody = yield* dkvctl(cwd, ["member-leave", "nobody"])
        assert.strictEqual(nobody.exitCode, 3)
        const recent = yield* dkvctl(cwd, ["get", "blob", "--max-staleness", "10s"])
        assert.isTrue(recent.output.equals(value))
        const updated = yield* dkvctl(cwd, ["member-update", "dkv-0", "--priority", "7", "-w", "json"])
        assert.deepInclude(JSON.parse(String(updated.output)).members[0], { name: "dkv-0", priority: 7 })
        const listed = yield* dkvctl(cwd, ["member-list", "-w", "json"])
        assert.deepInclude(JSON.parse(String(listed.output)).members[0], { name: "dkv-0", priority: 7 })
        assert.strictEqual((yield* dkvctl(cwd, ["member-update", "nobody", "--priority", "1"])).exitCode, 3)
        const last = yield* dkvctl(cwd, ["member-leave", "dkv-0"])
        assert.strictEqual(last.exitCode, 1)
        const status = yield* dkvctl(cwd, ["-w", "json", "status"])
        assert.deepInclude(JSON.parse(String(status.output))[0], { name: "dkv-0", role: "Leader", voters: 1 })
      }),
    120_000
  )

  it.live(
    "range into a pipe whose reader leaves early says so in one line",
    () =>
      Effect.gen(function*() {
        const { cwd, endpoint } = yield* member
        for (const key of ["a", "b", "c"]) {
          yield* dkvctl(cwd, [`--endpoint=${endpoint}`, "set", key, "-"], new Uint8Array(200_000).fill(0x78))
        }
        const command = `"$0" "$1" --endpoint=${endpoint} range 2>error | head -1 >first`
        yield* Effect.callback<void>((resume) => {
          const shell = spawn("sh", ["-c", command, process.execPath, program("../src/main.ts")], { cwd })
          shell.on("close", () => resume(Effect.void))
        })
        assert.strictEqual(Fs.readFileSync(`${cwd}/first`, "utf8"), `a\t${"x".repeat(200_000)}\n`)
        assert.match(Fs.readFileSync(`${cwd}/error`, "utf8"), /^dkvctl: the output broke: .*EPIPE\n$/)
      }),
    120_000
  )

  it.live(
    "an output that broke fails the write, and nothing else, however long the program goes on",
    () =>
      Effect.gen(function*() {
        const cwd = yield* directory
        const script = `
          import { Effect } from "effect"
          import { Screen } from ${JSON.stringify(new URL("../src/Screen.ts", import.meta.url).href)}
          const write = Effect.flatMap(Screen, (screen) => screen.write(new Uint8Array(200_000)))
          const message = await Effect.runPromise(Effect.flip(Effect.provide(write, Screen.layer)))
          await Effect.runPromise(Effect.sleep("100 millis"))
          console.error(message.message)`
        const command = `"$0" --input-type=module -e "$1" 2>${cwd}/error | true`
        yield* Effect.callback<void>((resume) => {
          const shell = spawn("sh", ["-c", command, process.execPath, script], { cwd: import.meta.dirname })
          shell.on("close", () => resume(Effect.void))
        })
        assert.match(Fs.readFileSync(`${cwd}/error`, "utf8"), /^the output broke: .*EPIPE\n$/)
      }),
    120_000
  )

  it.live(
    "where nobody listens, reads and writes fail with exit code 1 within the time given",
    () =>
      Effect.gen(function*() {
        const cwd = yield* directory
        const at = [`--endpoint=localhost:${yield* freePort}`, "--timeout=300ms"]
        for (const command of [["get", "k"], ["set", "k", "v"], ["status"], ["member-list"]]) {
          const ran = yield* dkvctl(cwd, [...at, ...command])
          assert.strictEqual(ran.exitCode, 1, `${command.join(" ")}: ${ran.error}`)
        }
      }),
    120_000
  )

  it.live(
    "a member that takes the write and never answers leaves the outcome unknown: exit code 4",
    () =>
      Effect.gen(function*() {
        const cwd = yield* directory
        const { endpoint } = yield* member
        const port = Number(endpoint.split(":")[1])
        const proxy = yield* Effect.acquireRelease(
          Effect.callback<Net.Server>((resume) => {
            const server = Net.createServer((inner) => {
              const outer = Net.connect(port, "127.0.0.1")
              inner.on("error", () => {})
              outer.on("error", () => {})
              inner.pipe(outer)
              // the hello comes through, every later answer is lost
              outer.once("data", (hello) => inner.write(hello))
            })
            server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
          }),
          (server) => Effect.sync(() => server.close())
        )
        const at = `--endpoint=127.0.0.1:${(proxy.address() as Net.AddressInfo).port}`
        const ran = yield* dkvctl(cwd, [at, "--timeout=1s", "set", "k", "v"])
        assert.strictEqual(ran.exitCode, 4, ran.error)
      }),
    120_000
  )
})
