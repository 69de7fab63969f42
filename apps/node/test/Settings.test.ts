import { assert, describe, it } from "@effect/vitest"
import { Option, Result } from "effect"
import { fromGiven } from "../src/Settings.ts"
import type { Given, Settings } from "../src/Settings.ts"

const given: Given = {
  name: Option.some("dkv-1"),
  advertiseNodes: [],
  listenPeerAddress: Option.none(),
  listenClientAddress: Option.none(),
  initialCluster: ["dkv-0=a:2380", "dkv-1=b:2380", "dkv-2=c:2380"],
  initialClusterState: Option.none(),
  witness: Option.none(),
  peerCertFile: Option.none(),
  peerKeyFile: Option.none(),
  peerTrustedCaFile: Option.none(),
  certFile: Option.none(),
  keyFile: Option.none(),
  trustedCaFile: Option.none(),
  dataDir: Option.none(),
  electionTimeout: Option.none(),
  heartbeatInterval: Option.none(),
  logMaxBytes: Option.none(),
  logRetainEntries: Option.none(),
  logLevel: Option.none(),
  forceNewCluster: Option.none()
}

const settings = (change: Partial<Given>): Settings => Result.getOrThrow(fromGiven({ ...given, ...change }))

const refusal = (change: Partial<Given>): string =>
  Result.match(fromGiven({ ...given, ...change }), {
    onFailure: (error) => error.message,
    onSuccess: () => assert.fail("was not refused")
  })

describe("defaults", () => {
  it("are those of the first dkv", () => {
    const { dataDirectory, initialClusterState, listenClientAddress, listenPeerAddress } = settings({})
    assert.deepStrictEqual({ dataDirectory, initialClusterState, listenClientAddress, listenPeerAddress }, {
      dataDirectory: "data",
      initialClusterState: "new",
      listenClientAddress: ":3000",
      listenPeerAddress: ":2380"
    })
  })

  it("a member holds data unless it is told to be a witness", () => {
    assert.isFalse(settings({}).witness)
    assert.isTrue(settings({ witness: Option.some("true") }).witness)
  })

  it("the peer address is the own entry of the initial cluster", () => {
    assert.strictEqual(settings({}).peerAddress, "b:2380")
  })
})

describe("the client address that others are told", () => {
  const table: ReadonlyArray<readonly [listen: string, advertise: ReadonlyArray<string>, told: string]> = [
    [":3000", [], "b:3000"],
    ["0.0.0.0:3000", [], "b:3000"],
    ["[::]:3000", [], "b:3000"],
    ["localhost:3001", [], "localhost:3001"],
    ["[::1]:3001", [], "[::1]:3001"],
    [":3000", ["dkv-0=x:1", "dkv-1=y:2"], "y:2"]
  ]
  for (const [listen, advertise, told] of table) {
    it(`is ${told} when it listens on ${listen} and advertises ${advertise.join(",") || "nothing"}`, () => {
      const given = { listenClientAddress: Option.some(listen), advertiseNodes: advertise }
      assert.strictEqual(settings(given).clientAddress, told)
    })
  }
})

describe("addresses", () => {
  for (const text of ["localhost:2380", ":2380", "[::1]:2380", "10.0.0.1:2380", "dkv-0.dkv.svc.cluster.local:2380"]) {
    it(`${text} is one`, () => {
      assert.strictEqual(settings({ listenPeerAddress: Option.some(text) }).listenPeerAddress, text)
    })
  }
  for (
    const text of ["localhost", "localhost:", "2380", ":0", ":65536", "::1:2380", "http://localhost:2380", "a b:2380"]
  ) {
    it(`${JSON.stringify(text)} is none`, () => {
      assert.match(
        refusal({ listenPeerAddress: Option.some(text) }),
        /^--listen-peer-address ".*" is no address: write HOST:PORT/
      )
    })
  }
})

describe("one line says what to correct", () => {
  const table: ReadonlyArray<readonly [what: string, change: Partial<Given>, message: RegExp]> = [
    ["no name", { name: Option.none() }, /^--name is missing/],
    ["a name with a blank", { name: Option.some("dkv 1") }, /^--name "dkv 1" is no name/],
    ["a name with =", { name: Option.some("dkv=1") }, /is no name/],
    ["a very long name", { name: Option.some("n".repeat(257)) }, /is no name/],
    ["a name of many long characters", { name: Option.some("漢".repeat(86)) }, /is no name/],
    [
      "more members than a cluster may begin with",
      { initialCluster: Array.from({ length: 65 }, (_, at) => `dkv-${at}=host-${at}:2380`) },
      /^--initial-cluster lists 65 members: list up to 64/
    ],
    [
      "no initial cluster",
      { initialCluster: [] },
      /^--initial-cluster is missing.*--initial-cluster=dkv-1=localhost:2380$/
    ],
    ["an entry without name", { initialCluster: ["b:2380"] }, /"b:2380" is not NAME=HOST:PORT/],
    ["an entry without host", { initialCluster: ["dkv-1=:2380"] }, /is not NAME=HOST:PORT/],
    ["an entry without port", { initialCluster: ["dkv-1=b"] }, /is not NAME=HOST:PORT/],
    ["a name listed twice", { initialCluster: ["dkv-1=b:1", "dkv-1=c:1"] }, /names dkv-1 twice/],
    [
      "an address listed twice",
      { initialCluster: ["dkv-1=b:1", "dkv-2=b:1"] },
      /gives dkv-1 and dkv-2 the same address b:1/
    ],
    ["itself missing from the list", { name: Option.some("dkv-9") }, /does not list dkv-9: add dkv-9=HOST:PORT/],
    ["an unknown state", { initialClusterState: Option.some("old") }, /"old" is unknown: it is new or existing/],
    [
      "force with an existing cluster",
      { initialClusterState: Option.some("existing"), forceNewCluster: Option.some("true") },
      /contradicts/
    ],
    [
      "one port for both",
      { listenPeerAddress: Option.some(":3000"), listenClientAddress: Option.some(":3000") },
      /are both ":3000"/
    ],
    [
      "a list of advertised addresses without its own",
      { advertiseNodes: ["dkv-0=a:3000"] },
      /^--advertise-nodes does not list dkv-1: add dkv-1=HOST:PORT/
    ],
    ["a bad advertised address", { advertiseNodes: ["dkv-1"] }, /^--advertise-nodes "dkv-1" is not NAME=HOST:PORT/],
    ["a heartbeat of nothing", { heartbeatInterval: Option.some("0") }, /^--heartbeat-interval 0 is too short/],
    [
      "an election timeout near the heartbeat",
      { electionTimeout: Option.some("499") },
      /^--election-timeout 499 is too short/
    ],
    ["an endless election timeout", { electionTimeout: Option.some("60001") }, /^--election-timeout 60001 is too long/],
    [
      "a time that is none",
      { electionTimeout: Option.some("soon") },
      /^--election-timeout "soon" is no number of milliseconds/
    ],
    [
      "a log size below 64 KiB",
      { logMaxBytes: Option.some("65535") },
      /^--log-max-bytes "65535" is no number from 65536 up/
    ],
    [
      "a count that is none",
      { logRetainEntries: Option.some("-1") },
      /^--log-retain-entries "-1" is no number from 0 up/
    ],
    [
      "an unknown log level",
      { logLevel: Option.some("loud") },
      /^--log-level "loud" is unknown: it is one of trace, debug/
    ],
    ["a force that is neither", { forceNewCluster: Option.some("maybe") }, /^--force-new-cluster "maybe" is neither/],
    ["a witness that is neither", { witness: Option.some("perhaps") }, /^--witness "perhaps" is neither/],
    ["a certificate without key", { certFile: Option.some("c") }, /^--cert-file needs --key-file/],
    ["a key without certificate", { peerKeyFile: Option.some("k") }, /^--peer-key-file needs --peer-cert-file/],
    ["a CA alone", { trustedCaFile: Option.some("ca") }, /^--trusted-ca-file needs --cert-file and --key-file/]
  ]
  for (const [what, change, message] of table) {
    it(`about ${what}`, () => {
      const line = refusal(change)
      assert.match(line, message)
      assert.notInclude(line, "\n")
    })
  }
})

describe("certificate files", () => {
  it("are listed by the flag that named each", () => {
    const change = {
      certFile: Option.some("c"),
      keyFile: Option.some("k"),
      peerCertFile: Option.some("pc"),
      peerKeyFile: Option.some("pk")
    }
    assert.deepStrictEqual(settings(change).tls.files, [
      { flag: "--peer-cert-file", path: "pc" },
      { flag: "--peer-key-file", path: "pk" },
      { flag: "--cert-file", path: "c" },
      { flag: "--key-file", path: "k" }
    ])
  })
})
