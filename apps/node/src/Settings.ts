/** From what was said to what is meant: one member's settings, or one line that says what to correct. Pure; touches no file and no port. */
import { Address, Limits } from "@dkv/member"
import { Option, Result, Schema } from "effect"

/** The command or its variables make no sense; the message says what to write instead. Exit code 2. */
export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", {
  message: Schema.String
}) {}

/** Flags and variables after parsing, before judging. */
export interface Given {
  readonly name: Option.Option<string>
  readonly advertiseNodes: ReadonlyArray<string>
  readonly listenPeerAddress: Option.Option<string>
  readonly listenClientAddress: Option.Option<string>
  readonly initialCluster: ReadonlyArray<string>
  readonly initialClusterState: Option.Option<string>
  readonly witness: Option.Option<string>
  readonly peerCertFile: Option.Option<string>
  readonly peerKeyFile: Option.Option<string>
  readonly peerTrustedCaFile: Option.Option<string>
  readonly certFile: Option.Option<string>
  readonly keyFile: Option.Option<string>
  readonly trustedCaFile: Option.Option<string>
  readonly dataDir: Option.Option<string>
  readonly electionTimeout: Option.Option<string>
  readonly heartbeatInterval: Option.Option<string>
  readonly logMaxBytes: Option.Option<string>
  readonly logRetainEntries: Option.Option<string>
  readonly logLevel: Option.Option<string>
  readonly forceNewCluster: Option.Option<string>
}

export const logLevels = ["trace", "debug", "info", "warn", "error", "none"] as const
export type LogLevelName = (typeof logLevels)[number]

export interface Named {
  readonly name: string
  readonly address: string
}

/** Certificate files of one port, by the flag that named each. */
export interface TlsFiles {
  readonly files: ReadonlyArray<{ readonly flag: string; readonly path: string }>
}

export interface Settings {
  readonly name: string
  readonly initialCluster: ReadonlyArray<Named>
  readonly initialClusterState: "new" | "existing"
  readonly forceNewCluster: boolean
  readonly witness: boolean
  readonly listenPeerAddress: string
  readonly listenClientAddress: string
  /** Where the others reach this member: its own entry of the initial cluster. */
  readonly peerAddress: string
  /** Where clients are told to reach this member. */
  readonly clientAddress: string
  readonly dataDirectory: string
  readonly electionTimeoutMillis: number
  readonly heartbeatMillis: number
  readonly logMaxBytes: number
  readonly logRetainEntries: number
  readonly logLevel: LogLevelName
  readonly tls: TlsFiles
}

const electionTimeoutMillisMax = 60_000
const logMaxBytesMin = 64 * 1024

/** The settings, or the first thing that is wrong. */
export const fromGiven = (given: Given): Result.Result<Settings, UsageError> =>
  Result.gen(function*() {
    const name = yield* memberName(given.name)
    const initialCluster = yield* namedAddresses("--initial-cluster", given.initialCluster)
    const peerAddress = yield* ownEntry(name, initialCluster)
    const forceNewCluster = yield* isSet("--force-new-cluster", given.forceNewCluster)
    const initialClusterState = yield* clusterState(given, forceNewCluster)
    const listenPeerAddress = yield* listenAddress("--listen-peer-address", given.listenPeerAddress, ":2380")
    const listenClientAddress = yield* listenAddress("--listen-client-address", given.listenClientAddress, ":3000")
    if (listenPeerAddress === listenClientAddress) {
      return yield* wrong(
        `--listen-peer-address and --listen-client-address are both "${listenPeerAddress}": give them different ports`
      )
    }
    const advertised = yield* namedAddresses("--advertise-nodes", given.advertiseNodes)
    const ownAdvertised = advertised.find((each) => each.name === name)
    if (advertised.length > 0 && ownAdvertised === undefined) {
      return yield* wrong(
        `--advertise-nodes does not list ${name}: add ${name}=HOST:PORT, where clients reach this one`
      )
    }
    const { electionTimeoutMillis, heartbeatMillis } = yield* timeouts(given)
    return {
      name,
      initialCluster,
      initialClusterState,
      forceNewCluster,
      witness: yield* isSet("--witness", given.witness),
      listenPeerAddress,
      listenClientAddress,
      peerAddress,
      clientAddress: ownAdvertised?.address ?? reachable(listenClientAddress, peerAddress),
      dataDirectory: Option.getOrElse(given.dataDir, () => "data"),
      electionTimeoutMillis,
      heartbeatMillis,
      logMaxBytes: yield* count("--log-max-bytes", given.logMaxBytes, 64 * 1024 * 1024, logMaxBytesMin),
      logRetainEntries: yield* count("--log-retain-entries", given.logRetainEntries, 10_000, 0),
      logLevel: yield* logLevel(given.logLevel),
      tls: yield* tlsFiles(given)
    }
  })

const wrong = (message: string) => Result.fail(new UsageError({ message }))

const memberName = (given: Option.Option<string>): Result.Result<string, UsageError> => {
  if (Option.isNone(given)) {
    return wrong("--name is missing: name this member, for example --name dkv-0 (or DKV_NAME=dkv-0)")
  }
  const name = given.value
  return new TextEncoder().encode(name).length > Limits.nameBytesMax || !isName(name)
    ? wrong(`--name "${name}" is no name: use up to ${Limits.nameBytesMax} bytes without blanks, "=" and ","`)
    : Result.succeed(name)
}

const isName = (text: string): boolean => /^[^\s=,]+$/.test(text)

const namedAddresses = (
  flag: string,
  entries: ReadonlyArray<string>
): Result.Result<ReadonlyArray<Named>, UsageError> => {
  const all: Array<Named> = []
  for (const entry of entries) {
    const at = entry.indexOf("=")
    const name = entry.slice(0, at)
    const address = at < 0 ? undefined : Address.parse(entry.slice(at + 1))
    if (at < 0 || !isName(name) || address === undefined || address.host === "" || address.port === 0) {
      return wrong(`${flag} "${entry}" is not NAME=HOST:PORT, for example dkv-0=localhost:2380`)
    }
    const text = Address.format(address)
    const twin = all.find((other) => other.name === name || other.address === text)
    if (twin !== undefined) {
      return wrong(
        twin.name === name
          ? `${flag} names ${name} twice: give every member its own name`
          : `${flag} gives ${twin.name} and ${name} the same address ${text}: give every member its own`
      )
    }
    all.push({ name, address: text })
  }
  return Result.succeed(all)
}

const ownEntry = (name: string, list: ReadonlyArray<Named>): Result.Result<string, UsageError> => {
  if (list.length === 0) {
    return wrong(
      `--initial-cluster is missing: list all members, this one too, for example --initial-cluster=${name}=localhost:2380`
    )
  }
  if (list.length > Limits.initialMembersMax) {
    return wrong(
      `--initial-cluster lists ${list.length} members: list up to ${Limits.initialMembersMax}, and let the others in by dkvctl member-join`
    )
  }
  const own = list.find((each) => each.name === name)
  return own === undefined
    ? wrong(`--initial-cluster does not list ${name}: add ${name}=HOST:PORT, where the other members reach this one`)
    : Result.succeed(own.address)
}

const isSet = (flag: string, given: Option.Option<string>): Result.Result<boolean, UsageError> => {
  const text = Option.getOrElse(given, () => "false").toLowerCase()
  if (["true", "1", "yes", "on"].includes(text)) return Result.succeed(true)
  return ["false", "0", "no", "off"].includes(text)
    ? Result.succeed(false)
    : wrong(`${flag} "${text}" is neither true nor false`)
}

const logLevel = (given: Option.Option<string>): Result.Result<LogLevelName, UsageError> => {
  const text = Option.getOrElse(given, () => "info")
  const level = logLevels.find((each) => each === text)
  return level === undefined
    ? wrong(`--log-level "${text}" is unknown: it is one of ${logLevels.join(", ")}`)
    : Result.succeed(level)
}

const clusterState = (given: Given, forceNewCluster: boolean): Result.Result<"new" | "existing", UsageError> => {
  const state = Option.getOrElse(given.initialClusterState, () => "new")
  if (state !== "new" && state !== "existing") {
    return wrong(`--initial-cluster-state "${state}" is unknown: it is new or existing`)
  }
  return state === "existing" && forceNewCluster
    ? wrong("--force-new-cluster contradicts --initial-cluster-state=existing: drop one of them")
    : Result.succeed(state)
}

const listenAddress = (
  flag: string,
  given: Option.Option<string>,
  byDefault: string
): Result.Result<string, UsageError> => {
  const text = Option.getOrElse(given, () => byDefault)
  const address = Address.parse(text)
  return address === undefined || address.port === 0
    ? wrong(`${flag} "${text}" is no address: write HOST:PORT, [IPV6]:PORT or :PORT, for example localhost:2380`)
    : Result.succeed(Address.format(address))
}

/** A listening address that others can use: "every interface" is replaced by the host under which the other members know this one. */
const reachable = (listen: string, peerAddress: string): string => {
  const address = Address.parse(listen)!
  const everywhere = ["", "0.0.0.0", "::"].includes(address.host)
  return Address.format(everywhere ? { host: Address.parse(peerAddress)!.host, port: address.port } : address)
}

const millis = (flag: string, given: Option.Option<string>, byDefault: number): Result.Result<number, UsageError> => {
  if (Option.isNone(given)) return Result.succeed(byDefault)
  return /^\d{1,9}$/.test(given.value)
    ? Result.succeed(Number(given.value))
    : wrong(`${flag} "${given.value}" is no number of milliseconds: write for example ${byDefault}`)
}

const count = (
  flag: string,
  given: Option.Option<string>,
  byDefault: number,
  min: number
): Result.Result<number, UsageError> => {
  if (Option.isNone(given)) return Result.succeed(byDefault)
  const value = Number(given.value)
  return /^\d{1,12}$/.test(given.value) && value >= min
    ? Result.succeed(value)
    : wrong(`${flag} "${given.value}" is no number from ${min} up: write for example ${byDefault}`)
}

const timeouts = (
  given: Given
): Result.Result<Pick<Settings, "electionTimeoutMillis" | "heartbeatMillis">, UsageError> =>
  Result.gen(function*() {
    const electionTimeoutMillis = yield* millis("--election-timeout", given.electionTimeout, 1000)
    const heartbeatMillis = yield* millis("--heartbeat-interval", given.heartbeatInterval, 100)
    if (heartbeatMillis < 1) return yield* wrong(`--heartbeat-interval ${heartbeatMillis} is too short: at least 1 ms`)
    if (electionTimeoutMillis < 5 * heartbeatMillis) {
      return yield* wrong(
        `--election-timeout ${electionTimeoutMillis} is too short for --heartbeat-interval ${heartbeatMillis}: at least 5 times as long`
      )
    }
    if (electionTimeoutMillis > electionTimeoutMillisMax) {
      return yield* wrong(
        `--election-timeout ${electionTimeoutMillis} is too long: at most ${electionTimeoutMillisMax} ms`
      )
    }
    return { electionTimeoutMillis, heartbeatMillis }
  })

const tlsFiles = (given: Given): Result.Result<TlsFiles, UsageError> => {
  const ports = [
    { cert: given.peerCertFile, key: given.peerKeyFile, ca: given.peerTrustedCaFile, prefix: "--peer-" },
    { cert: given.certFile, key: given.keyFile, ca: given.trustedCaFile, prefix: "--" }
  ]
  const files: Array<{ readonly flag: string; readonly path: string }> = []
  for (const { ca, cert, key, prefix } of ports) {
    const parts = [[`${prefix}cert-file`, cert], [`${prefix}key-file`, key], [`${prefix}trusted-ca-file`, ca]] as const
    for (const [flag, path] of parts) if (Option.isSome(path)) files.push({ flag, path: path.value })
    if (Option.isSome(cert) !== Option.isSome(key)) {
      const [present, absent] = Option.isSome(cert) ? ["cert", "key"] : ["key", "cert"]
      return wrong(`${prefix}${present}-file needs ${prefix}${absent}-file: give both`)
    }
    if (Option.isSome(ca) && Option.isNone(cert)) {
      return wrong(`${prefix}trusted-ca-file needs ${prefix}cert-file and ${prefix}key-file: give all three`)
    }
  }
  return Result.succeed({ files })
}
