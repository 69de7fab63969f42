/** What the trace says of messages and writes: a line each, with the names that the protocol has for their fields. */
import type { LogStore } from "@dkv/raft"
import type { decode } from "@dkv/raft/codec/PeerMessageCodec"
import { name } from "./Names.ts"

type Message = ReturnType<typeof decode>

/** The message's kind and fields; of payloads the size, of entries the indexes. */
export const ofMessage = ({ _tag, ...fields }: Message): string =>
  [_tag, ...Object.entries(fields).map(([field, value]) => `${field}=${text(value)}`)].join(" ")

const text = (value: unknown): string => {
  if (value instanceof Uint8Array) return `${value.length}B`
  if (Array.isArray(value)) {
    const first: unknown = value[0]
    const last: unknown = value.at(-1)
    return isEntry(first) && isEntry(last) ? `${first.index}..${last.index}` : `[${value.length}]`
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value)
}

const isEntry = (value: unknown): value is { readonly index: number } =>
  typeof value === "object" && value !== null && "index" in value

/** What has become durable together. */
export const ofWrites = (writes: ReadonlyArray<LogStore.LogWrite>): string => writes.map(ofWrite).join(", ")

const ofWrite = (write: LogStore.LogWrite): string => {
  switch (write._tag) {
    case "Append":
      return `entries ${text(write.entries)} of term ${write.entries.at(-1)!.term}`
    case "HardState":
      return `term ${write.hardState.term}, vote for ${name(write.hardState.vote)}`
    case "Reset":
      return `nothing up to entry ${write.index} of term ${write.term}`
  }
}
