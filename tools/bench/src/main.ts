/** `npm run bench`: prints a table per row and, on request, writes everything to a JSON file. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, FileSystem, Layer, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import * as Os from "node:os"
import { resolve } from "node:path"
import * as Bench from "./Bench.ts"
import { callersMax } from "./Limits.ts"
import { rowNames, systems } from "./Options.ts"
import { Progress } from "./Progress.ts"
import * as Report from "./Report.ts"

const items = (text: string): ReadonlyArray<string> =>
  text.split(",").map((item) => item.trim()).filter((item) => item !== "")

/** Some of `names`, separated by commas; all of them when the flag is not given. */
const some = <const Name extends string>(flag: string, names: ReadonlyArray<Name>, description: string) => {
  const isName = (item: string): item is Name => names.some((name) => name === item)
  return Flag.String(flag).pipe(
    Flag.withDescription(`${description}, separated by commas: ${names.join(", ")}`),
    Flag.withDefault(names.join(",")),
    Flag.filterMap(
      (text) => items(text).every(isName) ? Option.some(items(text).filter(isName)) : Option.none(),
      (text) => `--${flag} takes ${names.join(", ")}, not ${items(text).find((item) => !isName(item))}`
    )
  )
}

const callers = Flag.String("callers").pipe(
  Flag.withDescription("Numbers of concurrent callers, separated by commas"),
  Flag.withDefault("1,10,100,1000"),
  Flag.filterMap(
    (text) => {
      const numbers = items(text).map(Number)
      const valid = numbers.length > 0 &&
        numbers.every((number) => Number.isInteger(number) && number >= 1 && number <= callersMax)
      return valid ? Option.some(numbers) : Option.none()
    },
    (text) => `numbers of callers are from 1 to ${callersMax}, separated by commas, not "${text}"`
  )
)

const positive = (flag: Flag.Flag<number>, name: string): Flag.Flag<number> =>
  Flag.filter(flag, (value) => value > 0, () => `--${name} must be more than 0`)

const bench = Command.make(
  "bench",
  {
    only: some("only", rowNames, "Rows to run"),
    systems: some("systems", systems, "What the cluster row compares"),
    callers,
    rounds: positive(
      Flag.Int("rounds").pipe(Flag.withDescription("How often everything is measured"), Flag.withDefault(5)),
      "rounds"
    ),
    seconds: positive(
      Flag.Finite("seconds").pipe(Flag.withDescription("Length of one measurement"), Flag.withDefault(3)),
      "seconds"
    ),
    warmupSeconds: Flag.Finite("warmup").pipe(
      Flag.withDescription("Seconds of the same load before each measurement that do not count"),
      Flag.withDefault(1)
    ),
    dkvClients: positive(
      Flag.Int("dkv-clients").pipe(
        Flag.withDescription("Clients of dkv in the program that makes the load; each begins with another member"),
        Flag.withDefault(1)
      ),
      "dkv-clients"
    ),
    etcdClient: Flag.Literals("etcd-client", ["http2", "raw"]).pipe(
      Flag.withDescription("How etcd is reached: Node's HTTP/2 client, or a framer that costs next to nothing"),
      Flag.withDefault("http2")
    ),
    etcdConnections: Flag.Int("etcd-connections").pipe(
      Flag.withDescription("Connections per member of etcd; 0 looks for the number that serves it best"),
      Flag.withDefault(0)
    ),
    dataDirectory: Flag.Directory("data-dir", { mustExist: true }).pipe(
      Flag.withDescription("Where clusters keep their data while they run; on the disk to be measured"),
      Flag.withDefault(Os.tmpdir())
    ),
    json: Flag.Path("json").pipe(Flag.withDescription("Write everything to this file"), Flag.optional)
  },
  Effect.fnUntraced(function*({ json, ...options }) {
    const files = yield* FileSystem.FileSystem
    const file = Option.map(json, (path) => resolve(process.env.INIT_CWD ?? process.cwd(), path))
    // before minutes of measuring, not after
    if (Option.isSome(file)) yield* files.writeFileString(file.value, "", { flag: "a" })
    const report = yield* Bench.run(options)
    if (Option.isNone(file)) return
    const text = yield* Schema.encodeEffect(Report.Json)(report)
    yield* files.writeFileString(file.value, `${text}\n`)
    yield* Console.log(`\nwritten to ${file.value}`)
  })
).pipe(
  Command.withDescription("Measures dkv, and etcd and the bare machine beside it"),
  Command.withExamples([
    {
      command: "bench --only cluster --callers 100,1000 --json bench.json",
      description: "The comparison, at two loads"
    },
    { command: "bench --only failover", description: "How long a cluster is without a leader" }
  ])
)

Command.run(bench, { version: "0.1.0" }).pipe(
  Effect.provide(Layer.mergeAll(Progress.layer, NodeServices.layer)),
  NodeRuntime.runMain
)
