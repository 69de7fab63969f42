/**
 * What a person can say on the command line or in `DKV_*` variables, as text and numbers. What it means together is decided by `Settings`.
 * Names, formats and defaults up to `--data-dir` are those of the first dkv, so its commands work as they stand.
 */
import { Config } from "effect"
import { Flag } from "effect/cli"
import { logLevels } from "./Settings.ts"

const describe = (description: string, variable: string) => `${description} [$${variable}]`

const text = (name: string, variable: string, metavar: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(describe(description, variable)),
    Flag.withFallbackConfig(Config.String(variable)),
    Flag.optional
  )

const items = (texts: ReadonlyArray<string>): ReadonlyArray<string> =>
  texts.flatMap((each) => each.split(",")).map((each) => each.trim()).filter((each) => each !== "")

const list = (name: string, variable: string, metavar: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(describe(`${description} (repeat or separate by commas)`, variable)),
    Flag.atLeast(1),
    Flag.withFallbackConfig(Config.map(Config.String(variable), (value) => [value])),
    Flag.map(items),
    Flag.withDefault([])
  )

export const flags = {
  name: text("name", "DKV_NAME", "NAME", "Unique name of this member; keep it for the life of the data directory"),
  advertiseNodes: list(
    "advertise-nodes",
    "DKV_ADVERTISE_NODES",
    "NAME=HOST:PORT",
    "The address of this member that is told to clients; a list for all members may be given to each"
  ),
  listenPeerAddress: text(
    "listen-peer-address",
    "DKV_LISTEN_PEER_ADDRESS",
    "HOST:PORT",
    "Address to listen on for the other members (default: \":2380\")"
  ),
  listenClientAddress: text(
    "listen-client-address",
    "DKV_LISTEN_CLIENT_ADDRESS",
    "HOST:PORT",
    "Address to listen on for clients (default: \":3000\")"
  ),
  initialCluster: list(
    "initial-cluster",
    "DKV_INITIAL_CLUSTER",
    "NAME=HOST:PORT",
    "All founding members and where they reach each other, in the same order everywhere; the first one founds the cluster"
  ),
  initialClusterState: text(
    "initial-cluster-state",
    "DKV_INITIAL_CLUSTER_STATE",
    "new|existing",
    "new: take part in the founding; existing: wait to be let in by `dkvctl member-join` (default: new)"
  ),
  witness: Flag.Boolean("witness").pipe(
    Flag.withDescription(
      describe(
        "Vote and acknowledge, but hold no data and never lead: a third vote without a third copy. For the life of the data directory; " +
          "at least one founding member must hold data",
        "DKV_WITNESS"
      )
    ),
    Flag.map(String),
    Flag.withFallbackConfig(Config.String("DKV_WITNESS")),
    Flag.optional
  ),
  peerCertFile: text("peer-cert-file", "DKV_PEER_CERT_FILE", "FILE", "Certificate for the other members"),
  peerKeyFile: text("peer-key-file", "DKV_PEER_KEY_FILE", "FILE", "Key of that certificate"),
  peerTrustedCaFile: text(
    "peer-trusted-ca-file",
    "DKV_PEER_TRUSTED_CA_FILE",
    "FILE",
    "CA that certifies the other members"
  ),
  certFile: text("cert-file", "DKV_CERT_FILE", "FILE", "Certificate for clients"),
  keyFile: text("key-file", "DKV_KEY_FILE", "FILE", "Key of that certificate"),
  trustedCaFile: text("trusted-ca-file", "DKV_TRUSTED_CA_FILE", "FILE", "CA that certifies clients"),
  dataDir: text("data-dir", "DKV_DATA_DIR", "DIRECTORY", "Where this member keeps its data (default: \"data\")"),
  electionTimeout: text(
    "election-timeout",
    "DKV_ELECTION_TIMEOUT",
    "MS",
    "A member that hears no leader for one to two of these stands for election, in milliseconds (default: 1000)"
  ),
  heartbeatInterval: text(
    "heartbeat-interval",
    "DKV_HEARTBEAT_INTERVAL",
    "MS",
    "The leader is heard this often, in milliseconds (default: 100)"
  ),
  logMaxBytes: text(
    "log-max-bytes",
    "DKV_LOG_MAX_BYTES",
    "BYTES",
    "Once the raft log has grown by so much, the state is made durable and old entries are dropped (default: 67108864)"
  ),
  logRetainEntries: text(
    "log-retain-entries",
    "DKV_LOG_RETAIN_ENTRIES",
    "COUNT",
    "Entries kept all the same, for members that are a little behind; further behind takes a snapshot (default: 10000)"
  ),
  logLevel: Flag.Literals("log-level", logLevels).pipe(
    Flag.withDescription(describe("Least serious events to log (default: info)", "DKV_LOG_LEVEL")),
    Flag.withFallbackConfig(Config.String("DKV_LOG_LEVEL")),
    Flag.optional
  ),
  forceNewCluster: Flag.Boolean("force-new-cluster").pipe(
    Flag.withDescription(
      describe(
        "On the first listed member: found the cluster without those that do not answer within 10 s; they are let in when they come. " +
          "Only safe when they hold no data",
        "DKV_FORCE_NEW_CLUSTER"
      )
    ),
    Flag.map(String),
    Flag.withFallbackConfig(Config.String("DKV_FORCE_NEW_CLUSTER")),
    Flag.optional
  )
}
