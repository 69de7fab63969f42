/** From what was said to what is meant: whom to ask, for how long, and how to answer; or one line that says what to correct. */
import { Address } from "@dkv/protocol"
import { Option, Result, Schema } from "effect"

/** The command or its variables make no sense; the message says what to write instead. Exit code 2. */
export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", {
  message: Schema.String
}) {}

export type Format = "simple" | "json" | "table"

/** The flags that all commands share, after parsing, before judging. */
export interface Given {
  readonly endpoint: ReadonlyArray<string>
  readonly cert: Option.Option<string>
  readonly key: Option.Option<string>
  readonly cacert: Option.Option<string>
  readonly writeOut: Format
  readonly timeout: string
}

export interface Settings {
  /** `host:port` each; at least one. */
  readonly endpoints: ReadonlyArray<string>
  readonly format: Format
  readonly timeoutMillis: number
  readonly tlsFiles: ReadonlyArray<{ readonly flag: string; readonly path: string }>
}

export const defaultEndpoint = "localhost:3000"

const durationMillisMax = 3_600_000

export const fromGiven = (given: Given): Result.Result<Settings, UsageError> =>
  Result.gen(function*() {
    return {
      endpoints: yield* endpoints(given.endpoint),
      format: given.writeOut,
      timeoutMillis: yield* duration("--timeout", given.timeout),
      tlsFiles: yield* tlsFiles(given)
    }
  })

const wrong = (message: string) => Result.fail(new UsageError({ message }))

const items = (texts: ReadonlyArray<string>): ReadonlyArray<string> =>
  texts.flatMap((each) => each.split(",")).map((each) => each.trim()).filter((each) => each !== "")

const endpoints = (given: ReadonlyArray<string>): Result.Result<ReadonlyArray<string>, UsageError> => {
  const all: Array<string> = []
  const named = given.length === 0 ? [defaultEndpoint] : items(given)
  if (named.length === 0) return wrong(`--endpoint names nobody: write HOST:PORT, for example ${defaultEndpoint}`)
  for (const text of named) {
    const address = Address.parse(text)
    if (address === undefined || address.port === 0) {
      return wrong(`--endpoint "${text}" is no address: write HOST:PORT, for example ${defaultEndpoint}`)
    }
    const endpoint = Address.format(address.host === "" ? { ...address, host: "localhost" } : address)
    if (!all.includes(endpoint)) all.push(endpoint)
  }
  return Result.succeed(all)
}

const unitMillis: Record<string, number> = { "": 1, ms: 1, s: 1000, m: 60_000 }

/** A time as flags take it, in milliseconds. */
export const duration = (flag: string, text: string): Result.Result<number, UsageError> => {
  const match = /^(\d{1,9})(ms|s|m|)$/.exec(text.trim())
  const millis = match === null ? 0 : Number(match[1]) * unitMillis[match[2]!]!
  return millis < 1 || millis > durationMillisMax
    ? wrong(`${flag} "${text}" is no time: write for example 500ms, 5s or 1m, up to 60m`)
    : Result.succeed(millis)
}

const tlsFiles = ({ cacert, cert, key }: Given): Result.Result<Settings["tlsFiles"], UsageError> => {
  if (Option.isSome(cert) !== Option.isSome(key)) {
    return wrong(Option.isSome(cert) ? "--cert needs --key: give both" : "--key needs --cert: give both")
  }
  const parts = [["--cert", cert], ["--key", key], ["--cacert", cacert]] as const
  return Result.succeed(
    parts.flatMap(([flag, path]) => Option.isSome(path) ? [{ flag, path: path.value }] : [])
  )
}
