/** What a run of the benchmarks was asked to do. */
import type { EtcdClient, Target } from "./load/Protocol.ts"

export interface Options {
  /** Names of the rows to run. */
  readonly only: ReadonlyArray<RowName>
  readonly rounds: number
  /** Length of one measurement. */
  readonly seconds: number
  /** Time before each measurement in which the same load runs uncounted. */
  readonly warmupSeconds: number
  readonly callers: ReadonlyArray<number>
  /** What the `cluster` row compares. */
  readonly systems: ReadonlyArray<Target["system"]>
  /** Clients of dkv in the load generator. */
  readonly dkvClients: number
  readonly etcdClient: EtcdClient
  /** Connections per member of etcd; 0 to find the number that serves it best. */
  readonly etcdConnections: number
  /** Where clusters keep their data; on the disk that is to be measured. */
  readonly dataDirectory: string
}

/**
 * - `core`: the pure Raft core alone.
 * - `memory-cluster`: three members in one process on memory layers.
 * - `cluster`: the real cluster, etcd and the ceiling, in turn.
 * - `generator`: what the load generator for etcd costs, against a server that answers at once.
 * - `failover`: death of the leader to the next acknowledged write.
 * - `memory`: memory of a member over a million puts with one peer down for half of them.
 */
export const rowNames = ["core", "memory-cluster", "generator", "cluster", "failover", "memory"] as const
export type RowName = (typeof rowNames)[number]

export const systems: ReadonlyArray<Target["system"]> = ["dkv", "etcd", "ceiling"]
