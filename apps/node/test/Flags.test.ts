import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Option, PlatformError } from "effect"
import { Command } from "effect/cli"
import * as Environment from "../src/Environment.ts"
import { flags } from "../src/Flags.ts"

type Given = Parameters<Parameters<typeof capture>[0]>[0]

const capture = (f: (given: Command.Command.Config.Infer<typeof flags>) => void) =>
  Command.make("dkv", flags, (given) => Effect.sync(() => f(given)))

interface Sources {
  readonly args?: ReadonlyArray<string>
  readonly env?: Record<string, string>
  readonly files?: Record<string, string>
}

/** What the flags give, with these sources. */
const given = ({ args = [], env = {}, files = {} }: Sources) =>
  Effect.gen(function*() {
    let seen: Given | undefined
    const fileSystem = FileSystem.layerNoop({
      readFileString: (path) =>
        files[path] === undefined
          ? Effect.fail(PlatformError.systemError({ _tag: "NotFound", module: "FileSystem", method: "readFileString" }))
          : Effect.succeed(files[path])
    })
    yield* Command.runWith(capture((value) => seen = value), { version: "1", renderErrors: false })(args).pipe(
      Effect.provide(Layer.merge(NodeServices.layer, Layer.provide(Environment.layerFrom(env), fileSystem)))
    )
    return seen!
  })

const variables: ReadonlyArray<readonly [flag: string, variable: string, key: keyof Given]> = [
  ["name", "DKV_NAME", "name"],
  ["listen-peer-address", "DKV_LISTEN_PEER_ADDRESS", "listenPeerAddress"],
  ["listen-client-address", "DKV_LISTEN_CLIENT_ADDRESS", "listenClientAddress"],
  ["initial-cluster-state", "DKV_INITIAL_CLUSTER_STATE", "initialClusterState"],
  ["peer-cert-file", "DKV_PEER_CERT_FILE", "peerCertFile"],
  ["peer-key-file", "DKV_PEER_KEY_FILE", "peerKeyFile"],
  ["peer-trusted-ca-file", "DKV_PEER_TRUSTED_CA_FILE", "peerTrustedCaFile"],
  ["cert-file", "DKV_CERT_FILE", "certFile"],
  ["key-file", "DKV_KEY_FILE", "keyFile"],
  ["trusted-ca-file", "DKV_TRUSTED_CA_FILE", "trustedCaFile"],
  ["data-dir", "DKV_DATA_DIR", "dataDir"],
  ["election-timeout", "DKV_ELECTION_TIMEOUT", "electionTimeout"],
  ["heartbeat-interval", "DKV_HEARTBEAT_INTERVAL", "heartbeatInterval"],
  ["log-max-bytes", "DKV_LOG_MAX_BYTES", "logMaxBytes"],
  ["log-retain-entries", "DKV_LOG_RETAIN_ENTRIES", "logRetainEntries"]
]

describe("precedence", () => {
  for (const [flag, variable, key] of variables) {
    it.effect(`--${flag} wins over ${variable}, which wins over .env.local, which wins over .env`, () =>
      Effect.gen(function*() {
        const all = {
          args: [`--${flag}=a`],
          env: { [variable]: "b" },
          files: { ".env.local": `${variable}=c`, ".env": `${variable}=d` }
        }
        const { args: _args, ...noFlag } = all
        assert.deepStrictEqual((yield* given(all))[key], Option.some("a"))
        assert.deepStrictEqual((yield* given(noFlag))[key], Option.some("b"))
        assert.deepStrictEqual((yield* given({ files: all.files }))[key], Option.some("c"))
        assert.deepStrictEqual((yield* given({ files: { ".env": all.files[".env"]! } }))[key], Option.some("d"))
        assert.deepStrictEqual((yield* given({}))[key], Option.none())
      }))
  }

  it.effect("an empty variable counts as not set", () =>
    Effect.gen(function*() {
      const { name } = yield* given({ env: { DKV_NAME: "" }, files: { ".env": "DKV_NAME=dkv-0" } })
      assert.deepStrictEqual(name, Option.some("dkv-0"))
    }))
})

describe("lists", () => {
  const expected = ["a=h:1", "b=h:2", "c=h:3"]

  for (
    const [flag, variable, key] of [
      ["initial-cluster", "DKV_INITIAL_CLUSTER", "initialCluster"],
      ["advertise-nodes", "DKV_ADVERTISE_NODES", "advertiseNodes"]
    ] as const
  ) {
    it.effect(`--${flag} is repeated, or separated by commas, or both; ${variable} by commas`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual((yield* given({ args: [`--${flag}=a=h:1,b=h:2,c=h:3`] }))[key], expected)
        assert.deepStrictEqual(
          (yield* given({ args: [`--${flag}`, "a=h:1", `--${flag}`, "b=h:2, c=h:3"] }))[key],
          expected
        )
        assert.deepStrictEqual((yield* given({ env: { [variable]: "a=h:1,b=h:2,c=h:3" } }))[key], expected)
        assert.deepStrictEqual((yield* given({}))[key], [])
      }))
  }
})

describe("switches", () => {
  it.effect("--log-level and --force-new-cluster win over their variables", () =>
    Effect.gen(function*() {
      const env = { DKV_LOG_LEVEL: "debug", DKV_FORCE_NEW_CLUSTER: "true" }
      const fromEnv = yield* given({ env })
      assert.deepStrictEqual(fromEnv.logLevel, Option.some("debug"))
      assert.deepStrictEqual(fromEnv.forceNewCluster, Option.some("true"))
      const fromFlags = yield* given({ args: ["--log-level=warn", "--force-new-cluster=false"], env })
      assert.deepStrictEqual(fromFlags.logLevel, Option.some("warn"))
      assert.deepStrictEqual(fromFlags.forceNewCluster, Option.some("false"))
      assert.deepStrictEqual((yield* given({ args: ["--force-new-cluster"] })).forceNewCluster, Option.some("true"))
      assert.deepStrictEqual((yield* given({})).forceNewCluster, Option.none())
    }))

  it.effect("--witness is a switch, or DKV_WITNESS", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* given({ args: ["--witness"] })).witness, Option.some("true"))
      assert.deepStrictEqual((yield* given({ env: { DKV_WITNESS: "true" } })).witness, Option.some("true"))
      assert.deepStrictEqual((yield* given({})).witness, Option.none())
    }))

  it.effect("an unknown flag is refused", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(given({ args: ["--nam=x"] }))
      assert.strictEqual(error._tag, "ShowHelp")
    }))
})
