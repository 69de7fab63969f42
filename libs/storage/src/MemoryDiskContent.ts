/** The content of one file of `MemoryDisk`: as programs see it, and as much of it as has reached the medium. */
import { Effect, Random } from "effect"

const sectorBytes = 512

/** Content as the programs see it, and as it would be after a crash. */
export interface Content {
  bytes: Uint8Array
  size: number
  durableBytes: Uint8Array
  durableSize: number
  /** Ranges written and not yet synced. */
  dirty: Array<readonly [from: number, to: number]>
}

/** A new file. */
export const emptyContent = (): Content => ({
  bytes: new Uint8Array(0),
  size: 0,
  durableBytes: new Uint8Array(0),
  durableSize: 0,
  dirty: []
})

/** The same bytes with room for `length`. */
export const resized = (bytes: Uint8Array, length: number): Uint8Array => {
  if (bytes.length >= length) return bytes
  const grown = new Uint8Array(Math.max(length, bytes.length * 2))
  grown.set(bytes)
  return grown
}

const persist = (content: Content, from: number, to: number): void => {
  if (from >= to) return
  content.durableBytes = resized(content.durableBytes, to)
  content.durableBytes.set(content.bytes.subarray(from, Math.min(to, content.bytes.length)), from)
}

/** Makes the length and the bytes `[from, to)` durable. A durable write does no more than that for what was written before it. */
export const syncContent = (content: Content, from: number, to: number): void => {
  const dirty: Array<readonly [from: number, to: number]> = []
  for (const [start, end] of content.dirty) {
    persist(content, Math.max(start, from), Math.min(end, to, content.size))
    if (start < from) dirty.push([start, Math.min(end, from)])
    if (end > to) dirty.push([Math.max(start, to), end])
  }
  if (content.size < content.durableSize) content.durableBytes.fill(0, content.size)
  content.durableSize = content.size
  content.dirty = dirty
}

/** Puts bytes on the medium where nobody meant them to go, as far as the file is long. */
export const overwrite = (content: Content, from: number, written: Uint8Array): void => {
  for (const bytes of [content.bytes, content.durableBytes]) {
    const room = Math.min(bytes.length, content.size) - from
    if (room > 0) bytes.set(written.subarray(0, room), from)
  }
}

/** Rolls the dice over what is not durable, sector by sector. True if some of it stays and some is gone. */
export const crashContent = Effect.fnUntraced(function*(content: Content) {
  let kept = 0
  let gone = 0
  for (const [from, to] of content.dirty) {
    for (let sector = Math.floor(from / sectorBytes) * sectorBytes; sector < to; sector += sectorBytes) {
      if (!(yield* Random.nextBoolean)) gone++
      else {
        kept++
        persist(content, Math.max(from, sector), Math.min(to, sector + sectorBytes, content.size))
      }
    }
  }
  if (content.size !== content.durableSize && (yield* Random.nextBoolean)) content.durableSize = content.size
  content.durableBytes = resized(content.durableBytes, content.durableSize)
  content.durableBytes.fill(0, content.durableSize)
  content.bytes = content.durableBytes.slice()
  content.size = content.durableSize
  content.dirty = []
  return kept > 0 && gone > 0
})
