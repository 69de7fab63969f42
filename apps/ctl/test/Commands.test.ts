import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { ClusterError } from "../src/Cluster.ts"
import { FakeCluster, type } from "./FakeCluster.ts"

const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)

describe("get and set", () => {
  it.effect("what was set is got, byte for byte, with a line break only at a terminal", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster()
      const set = yield* type(cluster, ["set", "greeting", "hello"])
      assert.deepStrictEqual([set.exitCode, set.text], [0, "OK\n"])
      assert.strictEqual((yield* type(cluster, ["get", "greeting"])).text, "hello")
      assert.strictEqual((yield* type(cluster, ["get", "greeting"], { isTerminal: true })).text, "hello\n")
    }))

  it.effect("any bytes go through the input and come out again", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster()
      const input = bytes(0, 13, 10, 255, 254, 45, 10)
      yield* type(cluster, ["set", "k", "-"], { input })
      assert.deepStrictEqual((yield* type(cluster, ["get", "k"])).output, input)
    }))

  it.effect("the empty value can be set, and a value that begins with - behind --", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster()
      assert.strictEqual((yield* type(cluster, ["set", "k", ""])).exitCode, 0)
      const got = yield* type(cluster, ["get", "k"])
      assert.deepStrictEqual([got.exitCode, got.text], [0, ""])
      assert.strictEqual((yield* type(cluster, ["set", "k", "--", "--help"])).exitCode, 0)
      assert.strictEqual((yield* type(cluster, ["get", "k"])).text, "--help")
    }))

  it.effect("a missing key has exit code 3, nothing on the output, and a line on the error output", () =>
    Effect.gen(function*() {
      const got = yield* type(new FakeCluster(), ["get", "nothing"])
      assert.deepStrictEqual([got.exitCode, got.text, got.error], [3, "", "dkvctl: there is no key nothing"])
    }))

  it.effect("-w json gives text as text and other bytes as Base64", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster()
      yield* type(cluster, ["set", "k", "äöü"])
      assert.deepStrictEqual(JSON.parse((yield* type(cluster, ["-w", "json", "get", "k"])).text), {
        key: "k",
        value: "äöü",
        createRevision: 2,
        modRevision: 2,
        version: 1
      })
      yield* type(cluster, ["set", "k", "-"], { input: bytes(255) })
      assert.deepInclude(JSON.parse((yield* type(cluster, ["get", "k", "-w=json"])).text), {
        valueBase64: "/w==",
        version: 2
      })
    }))
})

describe("delete", () => {
  it.effect("prints how many keys went, and deleting nothing is no failure", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster()
      yield* type(cluster, ["set", "k", "v"])
      const first = yield* type(cluster, ["delete", "k"])
      const second = yield* type(cluster, ["delete", "k"])
      assert.deepStrictEqual([first.exitCode, first.text, second.exitCode, second.text], [0, "1\n", 0, "0\n"])
    }))
})

describe("range", () => {
  const filled = Effect.gen(function*() {
    const cluster = new FakeCluster()
    for (const key of ["a", "b/1", "b/2", "b/3", "c"]) yield* type(cluster, ["set", key, key.toUpperCase()])
    return cluster
  })
  const keys = (text: string) => text.split("\n").filter((line) => line !== "").map((line) => line.split("\t")[0])

  const table: ReadonlyArray<readonly [args: ReadonlyArray<string>, expected: ReadonlyArray<string>]> = [
    [[], ["a", "b/1", "b/2", "b/3", "c"]],
    [["--reverse"], ["c", "b/3", "b/2", "b/1", "a"]],
    [["--prefix=b/"], ["b/1", "b/2", "b/3"]],
    [["--prefix=b/", "--limit=2"], ["b/1", "b/2"]],
    [["--prefix=b/", "--limit=3", "--reverse"], ["b/3", "b/2", "b/1"]],
    [["b/2"], ["b/2", "b/3", "c"]],
    [["a", "b/2"], ["a", "b/1"]],
    [["", "b"], ["a"]],
    [["--prefix=x"], []]
  ]
  for (const [args, expected] of table) {
    it.effect(`${args.join(" ") || "alone"} gives ${expected.join(" ") || "nothing"}, page after page`, () =>
      Effect.gen(function*() {
        const { exitCode, text } = yield* type(yield* filled, ["range", ...args])
        assert.deepStrictEqual([exitCode, keys(text)], [0, expected])
      }))
  }

  it.effect("keys and values stay on their line", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster()
      yield* type(cluster, ["set", "k", "a\tb\nc\\d"])
      yield* type(cluster, ["set", "l", "-"], { input: bytes(255, 65) })
      assert.strictEqual((yield* type(cluster, ["range"])).text, "k\ta\\tb\\nc\\\\d\nl\t\\xffA\n")
    }))

  it.effect("prints each page before it asks for the next, so a failure loses nothing of what was read", () =>
    Effect.gen(function*() {
      const cluster = yield* filled
      const { service } = cluster
      let pages = 0
      const range: typeof service.range = (...args) =>
        ++pages > 2
          ? Effect.fail(new ClusterError({ reason: "Failed", message: "no majority" }))
          : service.range(...args)
      Object.assign(cluster, { service: { ...service, range } })
      const ran = yield* type(cluster, ["range"])
      assert.deepStrictEqual([ran.exitCode, keys(ran.text), ran.error], [
        1,
        ["a", "b/1", "b/2", "b/3"],
        "dkvctl: no majority"
      ])
      pages = 0
      assert.strictEqual((yield* type(cluster, ["-w", "json", "range"])).text, "")
    }))

  it.effect("-w json is one document of all pages", () =>
    Effect.gen(function*() {
      const { text } = yield* type(yield* filled, ["-w", "json", "range"])
      const parsed = JSON.parse(text)
      assert.strictEqual(parsed.revision, 6)
      assert.deepStrictEqual(parsed.kvs.map((kv: { readonly key: string }) => kv.key), ["a", "b/1", "b/2", "b/3", "c"])
    }))

  it.effect("--stale asks for no read from the leader, everything else does", () =>
    Effect.gen(function*() {
      const cluster = yield* filled
      cluster.calls.length = 0
      yield* type(cluster, ["range", "--stale", "--limit=1"])
      yield* type(cluster, ["range", "--limit=1"])
      yield* type(cluster, ["get", "a", "--stale"])
      yield* type(cluster, ["get", "a"])
      assert.deepStrictEqual(cluster.calls.map((call) => call[2]), ["stale", "linearizable", "stale", "linearizable"])
    }))

  it.effect("--max-staleness bounds how old an answer may be, in each of the units", () =>
    Effect.gen(function*() {
      const cluster = yield* filled
      cluster.calls.length = 0
      yield* type(cluster, ["range", "--max-staleness", "500ms", "--limit=1"])
      yield* type(cluster, ["get", "a", "--max-staleness=2s"])
      yield* type(cluster, ["get", "a", "--max-staleness=1m"])
      assert.deepStrictEqual(cluster.calls.map((call) => call[2]), [
        { maxStalenessMillis: 500 },
        { maxStalenessMillis: 2000 },
        { maxStalenessMillis: 60_000 }
      ])
    }))
})

describe("members", () => {
  it.effect("are listed one per line, in a table, or as JSON", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster()
      assert.strictEqual(
        (yield* type(cluster, ["member-list"])).text,
        "0000000000000000\tdkv-0\tlocalhost:2380\tlocalhost:3000\tvoter\tleader\n" +
          "0000000000000001\tdkv-1\tlocalhost:2381\tlocalhost:3001\tvoter\n"
      )
      assert.match(
        (yield* type(cluster, ["member-list", "-w", "table"])).text,
        /^\+-+\+.*\n\| ID +\| NAME +\| PEER ADDRESS/
      )
      assert.match(
        (yield* type(cluster, ["member-list", "-w", "table"])).text,
        /ROLE +\| PRIORITY +\| LEADER[^]*voter +\| 0 +\| true[^]*voter +\| 1 +\| false/
      )
      const json = JSON.parse((yield* type(cluster, ["member-list", "-w", "json"])).text)
      assert.deepInclude(json.members[0], { name: "dkv-0", priority: 0, isLeader: true })
      assert.deepInclude(json.members[1], { name: "dkv-1", priority: 1 })
    }))

  it.effect("cluster-settings changes what was typed, and shows all of them", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster()
      const shown = yield* type(cluster, ["cluster-settings"])
      assert.strictEqual(shown.text, "leader-leases\toff\ndead-members\twarn\ndead-member-millis\t600000\n")
      const changed = yield* type(cluster, [
        "cluster-settings",
        "--leader-leases",
        "on",
        "--dead-members",
        "replace",
        "-w",
        "json"
      ])
      assert.deepStrictEqual(JSON.parse(changed.text), {
        leaderLeases: true,
        deadMembers: "replace",
        deadMemberMillis: 600_000
      })
      assert.deepStrictEqual(cluster.calls, [["settings", {}], [
        "settings",
        { leaderLeases: true, deadMembers: "replace" }
      ]])
      assert.strictEqual((yield* type(cluster, ["cluster-settings", "--dead-members", "shoot"])).exitCode, 2)
    }))

  it.effect("join, leave, promote, update and transfer pass on what was typed", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster()
      const joined = yield* type(cluster, ["member-join", "dkv-3", "localhost:2383", "--learner"])
      assert.match(joined.text, /^dkv-3 \(0000000000000003\) is a learner now; member-promote/)
      yield* type(cluster, ["member-leave", "dkv-3", "--force"])
      yield* type(cluster, ["member-promote", "0000000000000003"])
      yield* type(cluster, ["member-update", "dkv-1", "--priority", "3"])
      const updated = yield* type(cluster, ["member-update", "dkv-1", "--priority=-1"])
      assert.strictEqual(updated.text, "dkv-1 has priority -1 now\n")
      yield* type(cluster, ["leader-transfer"])
      yield* type(cluster, ["leader-transfer", "dkv-1"])
      assert.deepStrictEqual(cluster.calls, [
        ["join", {
          name: "dkv-3",
          id: Option.none(),
          peerAddress: "localhost:2383",
          clientAddress: "",
          learnerOnly: true,
          witness: false
        }],
        ["leave", "dkv-3", true],
        ["promote", "0000000000000003", false],
        ["update", "dkv-1", { priority: 3 }],
        ["update", "dkv-1", { priority: -1 }],
        ["transfer", Option.none()],
        ["transfer", Option.some("dkv-1")]
      ])
    }))

  it.effect("join says how the member is in, whatever was asked for", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster()
      const join = ["member-join", "dkv-3", "localhost:2383"]
      assert.match((yield* type(cluster, join)).text, /is a learner now, and becomes a voter once it has caught up\n$/)
      cluster.joinedAs = "voter"
      assert.match((yield* type(cluster, join)).text, /is a voter now\n$/)
    }))

  it.effect("take any priority of 32 bits", () =>
    Effect.gen(function*() {
      for (const priority of [-(2 ** 31), 2 ** 31 - 1]) {
        const updated = yield* type(new FakeCluster(), ["member-update", "dkv-1", `--priority=${priority}`])
        assert.deepStrictEqual([updated.exitCode, updated.error], [0, ""])
      }
    }))

  it.effect("status shows every endpoint, and fails if one does not answer", () =>
    Effect.gen(function*() {
      const all = yield* type(new FakeCluster(), ["--endpoint=a:1,b:9", "status"])
      assert.strictEqual(all.exitCode, 1)
      assert.strictEqual(
        all.text,
        "a:1\tdkv-0\tleader\tterm 7\tleader dkv-0\tcommit 42\tcopies 2\nb:9\tdoes not answer\n"
      )
      const json = JSON.parse((yield* type(new FakeCluster(), ["--endpoint=a:1", "status", "-w", "json"])).text)
      assert.deepInclude(json[0], { name: "dkv-0", copiesAcknowledged: 2, fenced: null })
      const fenced = new FakeCluster()
      fenced.fenced = "its log is damaged"
      assert.include((yield* type(fenced, ["--endpoint=a:1", "status"])).text, "fenced: its log is damaged")
      const why = JSON.parse((yield* type(fenced, ["--endpoint=a:1", "status", "-w", "json"])).text)
      assert.deepInclude(why[0], { fenced: "its log is damaged" })
    }))
})

describe("exit codes", () => {
  const table = [["Failed", 1], ["WrongUse", 2], ["NotFound", 3], ["Unknown", 4]] as const
  for (const [reason, exitCode] of table) {
    it.effect(`${exitCode} when the cluster says ${reason}, with its words in one line`, () =>
      Effect.gen(function*() {
        const cluster = new FakeCluster()
        cluster.failure = new ClusterError({ reason, message: "it is\n so" })
        for (
          const args of [["get", "k"], ["set", "k", "v"], ["delete", "k"], ["range"], ["member-list"], [
            "leader-transfer"
          ]]
        ) {
          const ran = yield* type(cluster, args)
          assert.deepStrictEqual([ran.exitCode, ran.text, ran.error], [exitCode, "", "dkvctl: it is so"])
        }
      }))
  }

  it.effect("4 when a change was made and its answer cannot be printed, but 1 when a read's cannot", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster()
      yield* type(cluster, ["set", "k", "v"])
      const changes = [
        ["set", "k", "w"],
        ["delete", "k"],
        ["member-join", "dkv-3", "localhost:2383"],
        ["member-leave", "dkv-1"],
        ["member-promote", "dkv-1"],
        ["member-update", "dkv-1", "--priority=1"],
        ["leader-transfer"],
        ["cluster-settings", "--leader-leases=on"]
      ]
      const made = "dkvctl: the change was made, but its answer could not be printed: the output broke: EPIPE"
      const reads = [["range"], ["member-list"], ["status"], ["cluster-settings"]]
      const told = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
        const { error, exitCode } = yield* type(cluster, args, { isBroken: true })
        return [args, exitCode, error]
      })
      for (const args of changes) assert.deepStrictEqual(yield* told(args), [args, 4, made])
      for (const args of reads) assert.deepStrictEqual(yield* told(args), [args, 1, "dkvctl: the output broke: EPIPE"])
    }))

  const wrong: ReadonlyArray<readonly [args: ReadonlyArray<string>, message: RegExp]> = [
    [["get"], /Missing|missing|key/],
    [["get", ""], /the key is empty/],
    [["set", "k"], /value/],
    [["get", "a", "b"], /Unexpected|unexpected|b/],
    [["frobnicate"], /frobnicate/],
    [["get", "k", "--nonsense"], /--nonsense/],
    [["-w", "xml", "get", "k"], /xml/],
    [["--endpoint=nowhere", "get", "k"], /--endpoint "nowhere" is no address/],
    [["--endpoint=", "get", "k"], /--endpoint names nobody: write HOST:PORT/],
    [["--endpoint", " , ", "set", "k", "v"], /--endpoint names nobody/],
    [["--timeout=soon", "get", "k"], /--timeout "soon" is no time/],
    [["set", "\ufffd", "v"], /the key has bytes that are not UTF-8/],
    [["set", "k", "\ufffd"], /the value has bytes that are not UTF-8.*give - and the bytes on the input/],
    [["range", "--prefix=\ufffd"], /the prefix has bytes that are not UTF-8/],
    [["range", "a", "b\ufffd"], /TO has bytes that are not UTF-8/],
    [["range", "--limit=0"], /--limit 0/],
    [["range", "a", "--prefix=b"], /exclude each other/],
    [["get", "k", "--max-staleness=soon"], /--max-staleness "soon" is no time/],
    [["range", "--stale", "--max-staleness=1s"], /exclude each other/],
    [["member-update", "dkv-1"], /nothing to change: give --priority/],
    [["member-update", "dkv-1", "--priority=2147483648"], /more than 32 bits/],
    [["member-update", "dkv-1", "--priority=-2147483649"], /more than 32 bits/],
    [["member-update", "dkv-1", "--priority=high"], /high/],
    [["member-join", "dkv-3", "nowhere"], /ADDRESS "nowhere" is no address/],
    [["member-join", "dkv-3", "localhost:1", "--id=7"], /--id "7" is no id/],
    [["--cert=c", "get", "k"], /--cert needs --key/],
    [["--cacert=/nowhere/ca.pem", "get", "k"], /--cacert "\/nowhere\/ca.pem" cannot be read/]
  ]
  for (const [args, message] of wrong) {
    it.effect(`2 for ${args.join(" ")}, in one line`, () =>
      Effect.gen(function*() {
        const ran = yield* type(new FakeCluster(), args)
        assert.strictEqual(ran.exitCode, 2)
        assert.match(ran.error, message)
        assert.notInclude(ran.error, "\n")
        assert.strictEqual(ran.text, "")
      }))
  }

  it.effect("0 for --help and --version; help teaches by examples", () =>
    Effect.gen(function*() {
      const help = yield* type(new FakeCluster(), ["--help"])
      assert.strictEqual(help.exitCode, 0)
      assert.match(help.text, /DKVCTL_ENDPOINT/)
      assert.match(help.text, /Exit codes: 0 done/)
      for (
        const command of [
          "get",
          "set",
          "delete",
          "range",
          "member-list",
          "member-join",
          "member-leave",
          "member-promote",
          "member-update",
          "leader-transfer",
          "cluster-settings",
          "status"
        ]
      ) {
        const one = yield* type(new FakeCluster(), [command, "--help"])
        assert.strictEqual(one.exitCode, 0)
        assert.include(help.text, command)
        assert.match(one.text, /EXAMPLES[^]*dkvctl/)
      }
      assert.match((yield* type(new FakeCluster(), ["--version"])).text, /0\.1\.0/)
    }))

  it.effect("completions exist for each shell", () =>
    Effect.gen(function*() {
      for (const shell of ["bash", "zsh", "fish"]) {
        const { exitCode, text } = yield* type(new FakeCluster(), ["--completions", shell])
        assert.strictEqual(exitCode, 0)
        assert.include(text, "member-join")
      }
    }))
})

describe("settings", () => {
  it.effect("flags win over variables, and both over defaults", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster()
      yield* type(cluster, ["member-list"])
      assert.deepInclude(cluster.settings!, { endpoints: ["localhost:3000"], format: "simple", timeoutMillis: 5000 })
      const env = { DKVCTL_ENDPOINT: "a:1,b:2", DKVCTL_WRITE_OUT: "json", DKVCTL_TIMEOUT: "300ms" }
      yield* type(cluster, ["member-list"], { env })
      assert.deepInclude(cluster.settings!, { endpoints: ["a:1", "b:2"], format: "json", timeoutMillis: 300 })
      yield* type(cluster, ["--endpoint", "c:3", "--endpoint=d:4,c:3", "-w", "table", "--timeout=1m", "member-list"], {
        env
      })
      assert.deepInclude(cluster.settings!, { endpoints: ["c:3", "d:4"], format: "table", timeoutMillis: 60_000 })
    }))

  it.effect("an endpoint without host is this machine", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster()
      yield* type(cluster, ["--endpoint=:3001", "member-list"])
      assert.deepStrictEqual(cluster.settings!.endpoints, ["localhost:3001"])
    }))
})
