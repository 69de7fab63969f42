import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Net from "node:net"
import { alone, freePorts, logged, start, temporaryDirectory } from "./Process.ts"

const lastLine = (text: string) => text.trim().split("\n").at(-1)

describe("exit codes", () => {
  it.live("0 for --help, which names every variable, and for --version", () =>
    Effect.gen(function*() {
      const help = yield* start(["--help"])
      assert.strictEqual(yield* help.ended, 0)
      for (
        const word of [
          "$DKV_NAME",
          "$DKV_INITIAL_CLUSTER",
          "$DKV_PEER_TRUSTED_CA_FILE",
          "EXAMPLES",
          "member-join",
          "Exit codes"
        ]
      ) {
        assert.include(help.output(), word)
      }
      const version = yield* start(["--version"])
      assert.strictEqual(yield* version.ended, 0)
      const { version: expected } = JSON.parse(Fs.readFileSync(new URL("../package.json", import.meta.url), "utf8"))
      assert.include(version.output(), expected)
    }), 60_000)

  it.live("2 for wrong use, with one line", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, line: RegExp]> = [
        [[], /^dkv: --name is missing/],
        [["--nam=x"], /^dkv: .*--nam/],
        [["--name=a", "--initial-cluster=b=h:1"], /^dkv: --initial-cluster does not list a/],
        [["--name=a", "--initial-cluster=a=h:1", "--cert-file=/nowhere", "--key-file=/nowhere"], /cannot be read/],
        [
          ["--name=a", "--initial-cluster=a=h:1", "--cert-file=/dev/null", "--key-file=/dev/null"],
          /TLS is not available yet/
        ]
      ]
      yield* Effect.forEach(cases, ([args, line]) =>
        Effect.gen(function*() {
          const ran = yield* start(args)
          assert.strictEqual(yield* ran.ended, 2)
          assert.match(ran.log(), line)
          assert.strictEqual(ran.log().trim().split("\n").length, 1)
        }), { concurrency: 2, discard: true })
    }), 60_000)

  it.live(
    "1 for a taken port and for a taken directory, with one line that says what to do",
    () =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const [peer, client, otherPeer, otherClient] = yield* freePorts(4)
        const first = yield* start(alone(directory, [peer!, client!]))
        yield* logged(first, /serving clients/)
        const samePort = yield* start(alone(`${directory}/other`, [peer!, otherClient!]))
        assert.strictEqual(yield* samePort.ended, 1)
        assert.match(lastLine(samePort.log())!, /^dkv: Peer port .* is taken/)
        const sameClientPort = yield* start(alone(`${directory}/another`, [otherPeer!, client!]))
        assert.strictEqual(yield* sameClientPort.ended, 1)
        assert.match(lastLine(sameClientPort.log())!, /^dkv: client port .* is taken/)
        const sameDirectory = yield* start(alone(directory, [otherPeer!, otherClient!]))
        assert.strictEqual(yield* sameDirectory.ended, 1)
        assert.match(lastLine(sameDirectory.log())!, new RegExp(`^dkv: .*${first.child.pid}`))
      }),
    60_000
  )

  it.live("1 for a directory that is not ours, which stays as it was", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      Fs.mkdirSync(`${directory}/data`)
      Fs.writeFileSync(`${directory}/data/thesis.txt`, "years of work")
      const ran = yield* start(alone(directory, yield* freePorts(2)))
      assert.strictEqual(yield* ran.ended, 1)
      assert.match(lastLine(ran.log())!, /^dkv: .*is not a dkv data directory/)
      assert.deepStrictEqual(Fs.readdirSync(`${directory}/data`), ["thesis.txt"])
    }), 60_000)
})

describe("a data directory that is only half there", () => {
  it.live("fences the member, which must not vote as if it never had", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const args = alone(directory, yield* freePorts(2))
      const first = yield* start(args)
      yield* logged(first, /leads in term/)
      first.child.kill("SIGKILL")
      assert.strictEqual(yield* first.ended, 137)
      Fs.rmSync(`${directory}/data/log`, { recursive: true })
      Fs.rmSync(`${directory}/data/state`, { recursive: true })
      const second = yield* start(args)
      yield* logged(second, /dkv-0 is fenced: it is the only member/)
      assert.match(second.log(), /dkv-0 \(member \w+\) is fenced.*holds no log, but this member had one/)
      assert.notMatch(second.log(), /leads in term/)
      second.child.kill("SIGTERM")
      assert.strictEqual(yield* second.ended, 0)
    }), 60_000)
})

describe("signals", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(
      `${signal} stops in order, with exit code 0, and the same command goes on with the same data`,
      () =>
        Effect.gen(function*() {
          const directory = yield* temporaryDirectory
          const args = alone(directory, yield* freePorts(2))
          const first = yield* start(args)
          yield* logged(first, /serving clients/)
          first.child.kill(signal)
          assert.strictEqual(yield* first.ended, 0)
          assert.match(lastLine(first.log())!, /dkv-0 has stopped$/)
          const second = yield* start(args)
          yield* logged(second, /serving clients/)
          const clusterOf = (log: string) => /runs in cluster (\w+)/.exec(log)?.[1]
          assert.strictEqual(clusterOf(second.log()), clusterOf(first.log()))
        }),
      60_000
    )
  }

  it.live("a signal stops a member that still waits for its cluster", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const [peer, client, absent] = yield* freePorts(3)
      const waiting = yield* start([
        ...alone(directory, [peer!, client!]),
        `--initial-cluster=dkv-1=localhost:${absent}`
      ])
      yield* logged(waiting, /waiting for dkv-1/)
      waiting.child.kill("SIGTERM")
      assert.strictEqual(yield* waiting.ended, 0)
    }), 60_000)
})

describe("the environment", () => {
  it.live("is read from .env.local and .env of the working directory", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const [peer, client] = yield* freePorts(2)
      Fs.writeFileSync(
        `${directory}/.env`,
        [
          "DKV_NAME=from-env",
          `DKV_INITIAL_CLUSTER=from-env-local=localhost:${peer}`,
          `DKV_LISTEN_PEER_ADDRESS=localhost:${peer}`,
          `DKV_LISTEN_CLIENT_ADDRESS=localhost:${client}`
        ].join("\n")
      )
      Fs.writeFileSync(`${directory}/.env.local`, "DKV_NAME=from-env-local\n")
      const running = yield* start([], { cwd: directory })
      yield* logged(running, /from-env-local \(member/)
      assert.isTrue(Fs.existsSync(`${directory}/data/FORMAT`))
    }), 60_000)
})

describe("the log", () => {
  it.live("has one line per event with time and level", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const running = yield* start([...alone(directory, yield* freePorts(2)), "--log-level=debug"])
      yield* logged(running, /leads in term/)
      for (const line of running.log().trim().split("\n")) {
        assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO |WARN ) /)
      }
    }), 60_000)
})

describe("the client port", () => {
  it.live("accepts connections once the member serves", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const [peer, client] = yield* freePorts(2)
      const running = yield* start(alone(directory, [peer!, client!]))
      yield* logged(running, /serving clients/)
      const connected = yield* Effect.callback<boolean>((resume) => {
        const socket = Net.connect(client!, "127.0.0.1")
        socket.once("connect", () => {
          socket.destroy()
          resume(Effect.succeed(true))
        })
        socket.once("error", () => resume(Effect.succeed(false)))
      })
      assert.isTrue(connected)
    }), 60_000)
})
