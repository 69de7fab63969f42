/**
 * Where everything lies in the `Storage` of a member. The first byte of a row's key says what the row is; the rest is ordered bytes, integers
 * big-endian. This is a format: rows written today are read by every later version, so prefixes are never reused.
 *
 * - `R` revision (main u64, sub u32): the change at that revision and some that follow it (`HistoryRow`), for history, watches and old revisions.
 * - `K` key: the newest change of that key, tombstones included until they are compacted (`CurrentRow`).
 * - `M` name: `kv` (`StoreMeta`), `raft` (the head that raft hands over with each batch).
 * - `S` key: the ordered records that raft hands over, its session table among them.
 *
 * Reserved for what is replicated with the keys later: `L` leases by id, `T` keys attached to a lease (id u64, key), `U` users, `P` roles with
 * their permissions, `G` the switch and revision of authorization, `X` alarms, `C` settings of the cluster, `H` hashes for corruption checks.
 *
 * All rows belong to the replicated state and travel in snapshots; nothing else may be kept in the same `Storage`.
 */
import { copy, fromText, getUint32, getUint64, putText, putUint32, putUint64 } from "./Bytes.ts"

/** Kept in `StoreMeta` and in snapshots; a store of a newer version is refused as `Foreign`. */
export const layoutVersion = 1

export const prefix = {
  history: 0x52,
  current: 0x4b,
  meta: 0x4d,
  records: 0x53,
  leases: 0x4c,
  attachments: 0x54,
  users: 0x55,
  roles: 0x50,
  authorization: 0x47,
  alarms: 0x58,
  settings: 0x43,
  hashes: 0x48
} as const

/** Where a change lies: its revision, and how many changes come before it in its row. */
export interface Place {
  readonly main: number
  readonly sub: number
  readonly position: number
}

/** Length of the key of a history row. */
export const historyKeyBytes = 13

/** Length of a `Place` in a row: main u64, sub u32, position u8. */
export const placeBytes = 13

export const putPlace = (target: Uint8Array, offset: number, place: Place): void => {
  putUint64(target, offset, place.main)
  putUint32(target, offset + 8, place.sub)
  target[offset + 12] = place.position
}

export const getPlace = (bytes: Uint8Array, offset: number): Place => ({
  main: getUint64(bytes, offset),
  sub: getUint32(bytes, offset + 8),
  position: bytes[offset + 12]!
})

/** Writes the key of the history row that begins with revision (`main`, `sub`) at `offset`. */
export const putHistoryKey = (target: Uint8Array, offset: number, main: number, sub: number): void => {
  target[offset] = prefix.history
  putUint64(target, offset + 1, main)
  putUint32(target, offset + 9, sub)
}

/** Key of the history row that holds the change. */
export const historyKey = ({ main, position, sub }: Place): Uint8Array => {
  const key = new Uint8Array(historyKeyBytes)
  // With a sub revision above 0 all changes of the row are of one main revision.
  if (sub === 0) putHistoryKey(key, 0, main - position, 0)
  else putHistoryKey(key, 0, main, sub - position)
  return key
}

/** Key of the current row of the key with this text. */
export const currentKey = (key: string): Uint8Array => {
  const bytes = new Uint8Array(1 + key.length)
  bytes[0] = prefix.current
  putText(bytes, 1, key)
  return bytes
}

/** `first` followed by `rest`. */
export const prefixed = (first: number, rest: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(1 + rest.length)
  bytes[0] = first
  copy(bytes, 1, rest, 0, rest.length)
  return bytes
}

/** First key behind all rows with this prefix. */
export const endOf = (first: number): Uint8Array => Uint8Array.of(first + 1)

export const storeMetaKey = fromText("Mkv")

export const raftHeadKey = fromText("Mraft")

/** First key behind all rows of a store. */
export const endOfAll = Uint8Array.of(0xff)

/** An `end` of one zero byte means that a range has no upper bound. */
export const isUnbounded = (end: Uint8Array): boolean => end.length === 1 && end[0] === 0
