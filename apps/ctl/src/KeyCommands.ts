/** The commands that read and write keys. */
import type { Operation } from "@dkv/protocol"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Answer from "./Answer.ts"
import type { Cluster, ClusterError } from "./Cluster.ts"
import { ExitCode } from "./ExitCode.ts"
import { Failure } from "./Failure.ts"
import * as Limits from "./Limits.ts"
import { Screen } from "./Screen.ts"
import * as Session from "./Session.ts"
import { duration, UsageError } from "./Settings.ts"
import * as Text from "./Text.ts"

const none = new Uint8Array(0)

const stale = Flag.Boolean("stale").pipe(
  Flag.withDescription(
    "Ask only the member at the endpoint: faster, works without a majority, and may miss recent writes"
  ),
  Flag.withDefault(false)
)

const maxStaleness = Flag.String("max-staleness").pipe(
  Flag.withMetavar("TIME"),
  Flag.withDescription(
    "See all writes that are older than this (500ms, 5s, 1m), and perhaps not the newer ones: the member at the endpoint asks the leader only if it did not within that time"
  ),
  Flag.optional
)

const consistencyOf = Effect.fnUntraced(function*(
  given: { readonly stale: boolean; readonly maxStaleness: Option.Option<string> }
): Effect.fn.Return<Operation.Consistency, UsageError> {
  if (Option.isNone(given.maxStaleness)) return given.stale ? "stale" : "linearizable"
  if (given.stale) return yield* new UsageError({ message: "--stale and --max-staleness exclude each other: give one" })
  return { maxStalenessMillis: yield* Effect.fromResult(duration("--max-staleness", given.maxStaleness.value)) }
})

const key = (description: string) => Argument.String("key").pipe(Argument.withDescription(description))

export const get = Command.make(
  "get",
  { key: key("The key"), stale, maxStaleness },
  Effect.fnUntraced(function*(given) {
    yield* Session.run(Effect.fnUntraced(function*({ format }, cluster) {
      const bytes = yield* keyBytes(given.key)
      const { kvs } = yield* cluster.range(
        { key: bytes, end: none, limit: 1, reverse: false },
        yield* consistencyOf(given)
      )
      const found = kvs[0]
      if (found === undefined) return yield* Failure.of(ExitCode.notFound, `there is no key ${given.key}`)
      yield* Answer.print(format, Answer.keyValue(found))
    }))
  })
).pipe(
  Command.withDescription(
    "Prints the value of a key: exactly its bytes, so it can be piped into a file. Exit code 3 if there is no such key."
  ),
  Command.withShortDescription("Get the value of a key"),
  Command.withExamples([
    { command: "dkvctl get greeting", description: "The value" },
    {
      command: "dkvctl get -w json greeting",
      description: "With revisions; bytes that are not UTF-8 come as valueBase64"
    }
  ])
)

export const set = Command.make(
  "set",
  {
    key: key("The key"),
    value: Argument.String("value").pipe(
      Argument.withDescription(
        "The value, which may be empty (\"\"); - reads it from the input. Put -- before one that begins with -"
      )
    )
  },
  Effect.fnUntraced(function*(given) {
    yield* Session.run(Effect.fnUntraced(function*({ format }, cluster) {
      const bytes = yield* keyBytes(given.key)
      const value = given.value === "-"
        ? yield* Effect.flatMap(Screen, (screen) => screen.readAll)
        : yield* argumentBytes("the value", given.value, ": give - and the bytes on the input")
      const { revision } = yield* cluster.put(bytes, value)
      yield* Answer.printChange(format, Answer.changed(revision, Option.none()))
    }))
  })
).pipe(
  Command.withDescription(
    "Sets the value of a key, and succeeds once a majority has it on disk. Exit code 4 if it is not known whether it was set."
  ),
  Command.withShortDescription("Set the value of a key"),
  Command.withExamples([
    { command: "dkvctl set greeting hello", description: "A text" },
    { command: "dkvctl set logo - < logo.png", description: "Any bytes, from a file" },
    { command: "dkvctl set greeting \"\"", description: "The empty value" }
  ])
)

const deleteKey = Command.make(
  "delete",
  { key: key("The key") },
  Effect.fnUntraced(function*(given) {
    yield* Session.run(Effect.fnUntraced(function*({ format }, cluster) {
      const bytes = yield* keyBytes(given.key)
      const { deleted, revision } = yield* cluster.delete(bytes)
      yield* Answer.printChange(format, Answer.changed(revision, Option.some(deleted)))
    }))
  })
).pipe(
  Command.withDescription(
    "Deletes a key and prints how many keys that were, 1 or 0: deleting what is not there is no failure. Exit code 4 if the outcome is not known."
  ),
  Command.withShortDescription("Delete a key"),
  Command.withExamples([{ command: "dkvctl delete greeting", description: "One key" }])
)

export { deleteKey as delete }

export const range = Command.make(
  "range",
  {
    from: Argument.String("from").pipe(
      Argument.withDescription("First key, inclusive; the first of all if absent"),
      Argument.optional
    ),
    to: Argument.String("to").pipe(
      Argument.withDescription("End, exclusive; behind the last of all if absent"),
      Argument.optional
    ),
    prefix: Flag.String("prefix").pipe(
      Flag.withMetavar("TEXT"),
      Flag.withDescription("Only keys that begin with this, instead of from and to"),
      Flag.optional
    ),
    limit: Flag.Int("limit").pipe(
      Flag.withMetavar("COUNT"),
      Flag.withDescription("At most this many keys (default: all)"),
      Flag.optional
    ),
    reverse: Flag.Boolean("reverse").pipe(
      Flag.withDescription("From the last key to the first"),
      Flag.withDefault(false)
    ),
    stale,
    maxStaleness
  },
  Effect.fnUntraced(function*(given) {
    yield* Session.run(Effect.fnUntraced(function*({ format }, cluster) {
      const limit = Option.getOrElse(given.limit, () => Infinity)
      if (limit < 1) return yield* new UsageError({ message: `--limit ${limit} is no number of keys: at least 1` })
      if (Option.isSome(given.prefix) && Option.isSome(given.from)) {
        return yield* new UsageError({ message: "--prefix and FROM exclude each other: give one of them" })
      }
      const bounds = Option.isSome(given.prefix) ?
        prefixBounds(yield* argumentBytes("the prefix", given.prefix.value, "")) :
        {
          key: yield* boundOf("FROM", given.from, first),
          end: yield* boundOf("TO", given.to, behindAll)
        }
      const options = { limit, reverse: given.reverse, consistency: yield* consistencyOf(given) }
      const print = (kvs: ReadonlyArray<Operation.KeyValue>, revision: number) =>
        Answer.print(format, Answer.keyValues(kvs, revision))
      if (format === "simple") return yield* eachPage(cluster, bounds, options, print)
      // A JSON document and a table are only whole with the last row.
      const all: Array<Operation.KeyValue> = []
      let last = 0
      yield* eachPage(cluster, bounds, options, (kvs, revision) =>
        Effect.sync(() => {
          for (const kv of kvs) all.push(kv)
          last = revision
        }))
      yield* print(all, last)
    }))
  })
).pipe(
  Command.withDescription(
    "Prints keys in order, one per line: key, tab, value. Line breaks, tabs, backslashes and bytes that are not text are escaped (\\n, \\t, \\\\, \\xff). " +
      "Long ranges are read page by page, each page as of its own moment, and printed so, unless the output is json or a table: what was read before a failure is then on the output."
  ),
  Command.withShortDescription("List keys in order"),
  Command.withExamples([
    { command: "dkvctl range --prefix=user/ --limit=10", description: "The first ten keys below user/" },
    { command: "dkvctl range --reverse --limit=1", description: "The last key" },
    { command: "dkvctl range a c", description: "Keys from a to just before c" }
  ])
)

const keyBytes = (text: string): Effect.Effect<Uint8Array, UsageError> =>
  text === ""
    ? Effect.fail(new UsageError({ message: "the key is empty: give one with at least one character" }))
    : argumentBytes("the key", text, "")

/** Bytes that are not UTF-8 have become replacement characters before the program sees them. */
const argumentBytes = (what: string, text: string, advice: string): Effect.Effect<Uint8Array, UsageError> =>
  text.includes("\ufffd")
    ? Effect.fail(
      new UsageError({ message: `${what} has bytes that are not UTF-8, which an argument cannot carry${advice}` })
    )
    : Effect.succeed(Text.encode(text))

const first = Uint8Array.of(0)
/** Behind every key that a member takes. */
const behindAll = new Uint8Array(Limits.keyBytesMax + 1).fill(0xff)

const boundOf = (
  what: string,
  given: Option.Option<string>,
  otherwise: Uint8Array
): Effect.Effect<Uint8Array, UsageError> =>
  Option.isNone(given) || given.value === "" ? Effect.succeed(otherwise) : argumentBytes(what, given.value, "")

export const prefixBounds = (prefix: Uint8Array): { readonly key: Uint8Array; readonly end: Uint8Array } => {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length--
  if (length === 0) return { key: prefix.length === 0 ? first : prefix, end: behindAll }
  const end = prefix.slice(0, length)
  end[length - 1]! += 1
  return { key: prefix, end }
}

/** The first possible key behind `key`; no key that begins with a longest one follows it. */
const behind = (key: Uint8Array): Uint8Array => {
  if (key.length >= Limits.keyBytesMax) return prefixBounds(key).end
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}

/** Reads page by page, and hands each over before it asks for the next. */
const eachPage = Effect.fnUntraced(function*<E, R>(
  cluster: Cluster["Service"],
  bounds: { readonly key: Uint8Array; readonly end: Uint8Array },
  options: { readonly limit: number; readonly reverse: boolean; readonly consistency: Operation.Consistency },
  use: (kvs: ReadonlyArray<Operation.KeyValue>, revision: number) => Effect.Effect<void, E, R>
): Effect.fn.Return<void, ClusterError | E, R> {
  const { consistency, limit, reverse } = options
  let { end, key } = bounds
  let count = 0
  while (true) {
    const page = yield* cluster.range(
      { key, end, limit: Math.min(Limits.pageRows, limit - count), reverse },
      consistency
    )
    yield* use(page.kvs, page.revision)
    count += page.kvs.length
    const last = page.kvs.at(-1)
    if (!page.more || last === undefined || count >= limit) return
    if (reverse) end = last.key
    else key = behind(last.key)
  }
})
