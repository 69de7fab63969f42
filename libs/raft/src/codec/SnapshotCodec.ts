/**
 * Layout of a volatile state machine's snapshot: a list of items, cut into blocks, each of which is stored and sent as one chunk. A block says what must
 * have come before it, so that blocks which are damaged, left out, repeated or of another snapshot do not fit, and the last one vouches for all.
 *
 * Item: kind u8, length u32, content. First raft's head (1), then its records (2: key length u32, key, value), then the chunks of the state (3), in
 * the order in which they were given and with the same cuts.
 *
 * Block: "dkvV", format u8, flags u8 (1: last block), number u32, checksum of the block before u32, the next part of the items, and CRC-32C u32 over all of that. The
 * first block has number 0 and checksum 0 before it. All blocks but the last are of one size.
 */
import * as Crc32c from "../Crc32c.ts"
import * as Limits from "../Limits.ts"
import { Writer } from "./Bytes.ts"

export const format = 1

export const Kind = { Head: 1, Record: 2, State: 3 } as const
export type Kind = typeof Kind[keyof typeof Kind]

export interface Item {
  readonly kind: Kind
  readonly content: Uint8Array
}

const magic = 0x646b7656
/** Before the items of a block. */
export const headBytes = 14
const checksumBytes = 4
const itemHeadBytes = 5

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Cuts items into blocks. Mutable; each block that it yields is a buffer of its own. */
export class Encoder {
  private block = new Uint8Array(Limits.snapshotBlockBytes)
  private used = headBytes
  private number = 0
  private before = 0

  /** The last block. */
  finish(): Uint8Array {
    return this.seal(true)
  }

  /** Adds an item; yields the blocks that are full. Only the last block may still have room, so it is kept until more comes. */
  *item(kind: Kind, content: Uint8Array): Generator<Uint8Array> {
    yield* this.put(new Writer(itemHeadBytes).uint8(kind).uint32(content.length).finish())
    yield* this.put(content)
  }

  private *put(bytes: Uint8Array): Generator<Uint8Array> {
    const end = Limits.snapshotBlockBytes - checksumBytes
    for (let from = 0; from < bytes.length;) {
      if (this.used === end) yield this.seal(false)
      const part = bytes.subarray(from, from + end - this.used)
      this.block.set(part, this.used)
      this.used += part.length
      from += part.length
    }
  }

  private seal(last: boolean): Uint8Array {
    const block = this.block.subarray(0, this.used + checksumBytes)
    const view = viewOf(block)
    view.setUint32(0, magic)
    view.setUint8(4, format)
    view.setUint8(5, last ? 1 : 0)
    view.setUint32(6, this.number++)
    view.setUint32(10, this.before)
    this.before = Crc32c.checksum(block.subarray(0, this.used))
    view.setUint32(this.used, this.before)
    if (!last) this.block = new Uint8Array(Limits.snapshotBlockBytes)
    this.used = headBytes
    return block
  }
}

/** Takes blocks and gives items. Mutable. */
export class Decoder {
  /** Whether the last block has come. */
  complete = false
  private number = 0
  private before = 0
  private kind: Kind = Kind.Head
  private itemHead = new Uint8Array(itemHeadBytes)
  private itemHeadUsed = 0
  private content: Uint8Array | undefined
  private contentUsed = 0

  /** The items that `block` completes, as copies; or in a string why it cannot follow the blocks before. Not to be used any more after that. */
  take(block: Uint8Array): ReadonlyArray<Item> | string {
    const view = viewOf(block)
    const end = block.length - checksumBytes
    if (end < headBytes || view.getUint32(0) !== magic) return "this is no snapshot of a volatile state machine"
    if (block[4] !== format) return `the snapshot has format ${block[4]}, this program knows ${format}`
    if (block.length > Limits.snapshotBlockBytesMax) return `a block of ${block.length} bytes is too large`
    if (this.complete) return "a block came after the last one"
    if (view.getUint32(6) !== this.number || view.getUint32(10) !== this.before) {
      return `block ${view.getUint32(6)} does not follow the ${this.number} blocks that came before`
    }
    const checksum = Crc32c.checksum(block.subarray(0, end))
    if (checksum !== view.getUint32(end)) return `block ${this.number} is damaged`
    this.number++
    this.before = checksum
    this.complete = block[5] === 1
    const items = this.parse(block.subarray(headBytes, end))
    const isBetweenItems = this.itemHeadUsed === 0
    return typeof items === "string" || !this.complete || isBetweenItems ? items : "the last block ends within an item"
  }

  private parse(bytes: Uint8Array): ReadonlyArray<Item> | string {
    const items: Array<Item> = []
    let from = 0
    const fill = (target: Uint8Array, used: number): number => {
      const part = bytes.subarray(from, from + target.length - used)
      target.set(part, used)
      from += part.length
      return used + part.length
    }
    while (true) {
      if (this.content === undefined) {
        this.itemHeadUsed = fill(this.itemHead, this.itemHeadUsed)
        if (this.itemHeadUsed < itemHeadBytes) return items
        const refusal = this.beginItem()
        if (refusal !== undefined) return refusal
      }
      const content = this.content!
      this.contentUsed = fill(content, this.contentUsed)
      if (this.contentUsed < content.length) return items
      items.push({ kind: this.kind, content })
      this.content = undefined
      this.itemHeadUsed = 0
    }
  }

  private beginItem(): string | undefined {
    const kind = this.itemHead[0] as Kind
    const length = viewOf(this.itemHead).getUint32(1)
    if (kind < this.kind || kind > Kind.State) return `an item of kind ${kind} stands behind one of kind ${this.kind}`
    if (length > Limits.stateChunkBytesMax) return `an item of ${length} bytes is too large`
    this.kind = kind
    this.content = new Uint8Array(length)
    this.contentUsed = 0
    return undefined
  }
}

/** Whether this block, which was taken before, is the last one of its snapshot. */
export const isLast = (block: Uint8Array): boolean => block[5] === 1

export const encodeRecord = (key: Uint8Array, value: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(4 + key.length + value.length)
  viewOf(bytes).setUint32(0, key.length)
  bytes.set(key, 4)
  bytes.set(value, 4 + key.length)
  return bytes
}

/** `undefined` if the bytes are cut short. */
export const decodeRecord = (bytes: Uint8Array): readonly [key: Uint8Array, value: Uint8Array] | undefined => {
  if (bytes.length < 4 || viewOf(bytes).getUint32(0) > bytes.length - 4) return undefined
  const end = 4 + viewOf(bytes).getUint32(0)
  return [bytes.subarray(4, end), bytes.subarray(end)]
}
