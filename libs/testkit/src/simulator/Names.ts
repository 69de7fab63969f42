/** Ids of simulated members are small numbers. */
import type { Configuration, MemberId } from "@dkv/raft"

export const idOf = (number: number): MemberId => number.toString(16).padStart(16, "0")

export const numberOf = (id: MemberId): number => Number.parseInt(id, 16)

/** For people. */
export const name = (id: MemberId): string => id === "" ? "nobody" : `m${numberOf(id)}`

/** As configurations have it. */
export const memberOf = (number: number, witness: boolean): Configuration.Member => ({
  id: idOf(number),
  name: `m${number}`,
  peerAddress: `m${number}:2380`,
  clientAddress: `m${number}:3000`,
  autoPromote: true,
  witness,
  priority: 0
})
