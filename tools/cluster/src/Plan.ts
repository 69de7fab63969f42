/** What the local cluster consists of: names, addresses and directories, as the flags describe them. */
import { Schema } from "effect"
import * as Limits from "./Limits.ts"

/** The cluster cannot be started; the message is one line that says what to do. */
export class ClusterError extends Schema.TaggedError<ClusterError>()("ClusterError", {
  message: Schema.String
}) {}

export interface Options {
  readonly nodes: number
  /** Absolute. */
  readonly dataDir: string
  /** Ports of the first member; the others follow. */
  readonly clientPort: number
  readonly peerPort: number
}

export interface PlannedMember {
  readonly name: string
  readonly clientPort: number
  readonly peerPort: number
  readonly dataDir: string
  readonly logFile: string
}

export interface Plan {
  readonly options: Options
  readonly members: ReadonlyArray<PlannedMember>
}

/** The plan for these options, or a line that says which one to change. */
export const make = (options: Options): Plan | ClusterError => {
  const { clientPort, nodes, peerPort } = options
  const refuse = (message: string) => new ClusterError({ message })
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > Limits.nodesMax) {
    return refuse(`--nodes is to be 1 to ${Limits.nodesMax}, not ${nodes}`)
  }
  for (const [flag, port] of [["--client-port", clientPort], ["--peer-port", peerPort]] as const) {
    if (!Number.isInteger(port) || port < 1 || port + nodes - 1 > 65_535) {
      return refuse(`${flag} is to be 1 to ${65_536 - nodes} for ${nodes} members, not ${port}`)
    }
  }
  if (Math.abs(clientPort - peerPort) < nodes) {
    return refuse(
      `client ports ${range(clientPort, nodes)} and peer ports ${
        range(peerPort, nodes)
      } overlap: change --client-port or --peer-port`
    )
  }
  return {
    options,
    members: Array.from({ length: nodes }, (_, index) => ({
      name: `dkv-${index}`,
      clientPort: clientPort + index,
      peerPort: peerPort + index,
      dataDir: `${options.dataDir}/dkv-${index}`,
      logFile: `${options.dataDir}/logs/dkv-${index}.log`
    }))
  }
}

const range = (first: number, count: number): string => count === 1 ? `${first}` : `${first}-${first + count - 1}`

export const clientAddress = (member: PlannedMember): string => `127.0.0.1:${member.clientPort}`

export const peerAddress = (member: PlannedMember): string => `127.0.0.1:${member.peerPort}`

/** The arguments of `dkv` for one member. */
export const argumentsFor = (plan: Plan, member: PlannedMember): ReadonlyArray<string> => [
  "--name",
  member.name,
  `--initial-cluster=${plan.members.map((other) => `${other.name}=localhost:${other.peerPort}`).join(",")}`,
  "--initial-cluster-state=new",
  `--data-dir=${member.dataDir}`,
  `--listen-peer-address=localhost:${member.peerPort}`,
  `--listen-client-address=localhost:${member.clientPort}`
]
