import type { MemberId } from "@dkv/raft"

/** Ids of simulated members are small numbers. */
export const name = (id: MemberId): string => id === "" ? "nobody" : `m${Number.parseInt(id, 16)}`
