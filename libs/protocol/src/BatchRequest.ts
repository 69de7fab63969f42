/**
 * A batch of operations as one frame, from client to server. One without operations is answered at once, and tells a client that the server is alive.
 *
 * Layout, big-endian, behind the frame's length: batch id u32 (not 0), reserved u8, number of runs u8, operation count u16, timeout u32 in milliseconds, greatest
 * staleness of reads u32 in milliseconds (0: linearizable, 2^32 - 1: any). If there are runs, the stamp of a client session: its index and term u64 each,
 * lowest unanswered sequence number u64, and per run its first sequence number u64 and count u16; no number is beyond 2^53 - 1, the last one of a run
 * neither. Then per operation a tag u8 and
 *
 * - 1 `Put`: key length u32, value length u32, key, value
 * - 2 `Delete`: key length u32, end length u32, key, end
 * - 3 `CompareAndSwap`: expected u64, key length u32, value length u32, key, value
 * - 4 `CompareAndDelete`: expected u64, key length u32, key
 * - 5 `Range`: limit u32, reverse u8, key length u32, end length u32, key, end
 */
import * as Bytes from "./Bytes.ts"
import { lengthBytes } from "./Frame.ts"
import type { Violation } from "./Frame.ts"
import * as Limits from "./Limits.ts"
import type { Consistency, Operation, Run, Stamp } from "./Operation.ts"

export interface Batch {
  /** Chosen by the client, 1 to 2^32 - 1, unique among those outstanding on the connection. */
  readonly id: number
  /** For the reads of the batch. */
  readonly consistency: Consistency
  /** The server answers within this time, with `Unknown` or `NoLeader` if need be; it may cut long waits to a limit of its own. */
  readonly timeoutMillis: number
  /** For the writes of the batch; without one, a write that comes twice takes effect twice. */
  readonly stamp?: Stamp | undefined
  readonly operations: ReadonlyArray<Operation>
}

const headBytes = 16
const stampHeadBytes = 24
const runBytes = 10
const anyStaleness = 0xffff_ffff
/** No operation is smaller than this. */
const operationBytesMin = 9

/** Bytes that a batch of nothing takes, its length included and with the longest stamp. */
export const overheadBytes = lengthBytes + headBytes + stampHeadBytes + Limits.runsPerBatchMax * runBytes

const stampBytes = (stamp: Stamp | undefined): number =>
  stamp === undefined ? 0 : stampHeadBytes + stamp.runs.length * runBytes

/** Bytes that the operation takes in a frame. */
export const operationBytes = (operation: Operation): number => {
  switch (operation._tag) {
    case "Put":
      return 9 + operation.key.length + operation.value.length
    case "Delete":
      return 9 + operation.key.length + operation.end.length
    case "CompareAndSwap":
      return 17 + operation.key.length + operation.value.length
    case "CompareAndDelete":
      return 13 + operation.key.length
    case "Range":
      return 14 + operation.key.length + operation.end.length
  }
}

/** The whole frame, its length included. The caller keeps to `Limits.operationsPerFrameMax` and `Limits.requestBytesMax`. */
export const encode = (batch: Batch): Uint8Array => {
  const operations = batch.operations
  let length = lengthBytes + headBytes + stampBytes(batch.stamp)
  for (let i = 0; i < operations.length; i++) length += operationBytes(operations[i]!)
  const writer = new Bytes.Writer(length)
  writer.uint32(length - lengthBytes)
  writer.uint32(batch.id)
  writer.uint8(0)
  writer.uint8(batch.stamp?.runs.length ?? 0)
  writer.uint16(operations.length)
  writer.uint32(batch.timeoutMillis)
  writer.uint32(stalenessOf(batch.consistency))
  if (batch.stamp !== undefined) encodeStamp(writer, batch.stamp)
  for (let i = 0; i < operations.length; i++) encodeOperation(writer, operations[i]!)
  return writer.bytes
}

const stalenessOf = (consistency: Consistency): number =>
  consistency === "linearizable" ? 0 : consistency === "stale" ? anyStaleness : consistency.maxStalenessMillis

const consistencyOf = (staleness: number): Consistency =>
  staleness === 0 ? "linearizable" : staleness === anyStaleness ? "stale" : { maxStalenessMillis: staleness }

const encodeStamp = (writer: Bytes.Writer, { lowestUnanswered, runs, session }: Stamp): void => {
  writer.uint64(session.index)
  writer.uint64(session.term)
  writer.uint64(lowestUnanswered)
  for (const { count, sequence } of runs) {
    writer.uint64(sequence)
    writer.uint16(count)
  }
}

const decodeStamp = (reader: Bytes.Reader, count: number): Stamp => {
  const session = { index: reader.uint64(), term: reader.uint64() }
  const lowestUnanswered = reader.uint64()
  const runs: Array<Run> = []
  for (let i = 0; i < count && !reader.failed; i++) runs.push({ sequence: reader.uint64(), count: reader.uint16() })
  return { session, lowestUnanswered, runs }
}

/** Whether every number of the runs can be told from the next one. */
const isCountable = ({ runs }: Stamp): boolean =>
  runs.every(({ count, sequence }) => Number.isSafeInteger(sequence + Math.max(count - 1, 0)))

/** Whether the stamp has a sequence number for each write. */
const fits = ({ runs }: Stamp, operations: ReadonlyArray<Operation>): boolean => {
  let writes = 0
  for (let i = 0; i < operations.length; i++) if (operations[i]!._tag !== "Range") writes++
  for (let i = 0; i < runs.length; i++) writes -= runs[i]!.count
  return writes === 0
}

const encodeOperation = (writer: Bytes.Writer, operation: Operation): void => {
  switch (operation._tag) {
    case "Put": {
      writer.uint8(1)
      return pair(writer, operation.key, operation.value)
    }
    case "Delete": {
      writer.uint8(2)
      return pair(writer, operation.key, operation.end)
    }
    case "CompareAndSwap": {
      writer.uint8(3)
      writer.uint64(operation.expected)
      return pair(writer, operation.key, operation.value)
    }
    case "CompareAndDelete": {
      writer.uint8(4)
      writer.uint64(operation.expected)
      writer.uint32(operation.key.length)
      return writer.put(operation.key)
    }
    case "Range": {
      writer.uint8(5)
      writer.uint32(operation.limit)
      writer.uint8(operation.reverse ? 1 : 0)
      return pair(writer, operation.key, operation.end)
    }
  }
}

const pair = (writer: Bytes.Writer, a: Uint8Array, b: Uint8Array): void => {
  writer.uint32(a.length)
  writer.uint32(b.length)
  writer.put(a)
  writer.put(b)
}

/** Reads one frame (without its length). Keys and values are views of it. Never throws: what is not a batch comes back as a violation. */
export const decode = (frame: Uint8Array): Batch | Violation => {
  const reader = new Bytes.Reader(frame)
  const id = reader.uint32()
  const reserved = reader.uint8()
  const runs = reader.uint8()
  const count = reader.uint16()
  const timeoutMillis = reader.uint32()
  const staleness = reader.uint32()
  const stamp = runs === 0 ? undefined : decodeStamp(reader, runs)
  if (reader.failed) return malformed("a batch that ends within its head")
  if (id === 0) return malformed("batch id 0 is not for batches")
  if (reserved !== 0) return malformed(`batch ${id} has unknown flags`)
  if (timeoutMillis > Limits.timeoutMillisMax) return malformed(`batch ${id} asks for a wait of ${timeoutMillis} ms`)
  if (stamp !== undefined && !isCountable(stamp)) return malformed(`batch ${id} counts its writes beyond 2^53 - 1`)
  if (count > Limits.operationsPerFrameMax || count * operationBytesMin > reader.remaining) {
    return malformed(`batch ${id} announces ${count} operations, more than are there or allowed`)
  }
  const operations: Array<Operation> = []
  for (let i = 0; i < count; i++) {
    const operation = decodeOperation(reader)
    if (operation === undefined || reader.failed) return malformed(`batch ${id}, operation ${i} cannot be read`)
    operations.push(operation)
  }
  if (reader.remaining > 0) return malformed(`batch ${id} has ${reader.remaining} bytes too many`)
  if (stamp !== undefined && !fits(stamp, operations)) {
    return malformed(`batch ${id} has not one sequence number for each of its writes`)
  }
  return { id, consistency: consistencyOf(staleness), timeoutMillis, ...stamp !== undefined && { stamp }, operations }
}

const decodeOperation = (reader: Bytes.Reader): Operation | undefined => {
  switch (reader.uint8()) {
    case 1: {
      const keyLength = reader.uint32()
      const valueLength = reader.uint32()
      const key = reader.take(keyLength)
      return { _tag: "Put", key, value: reader.take(valueLength) }
    }
    case 2: {
      const keyLength = reader.uint32()
      const endLength = reader.uint32()
      const key = reader.take(keyLength)
      return { _tag: "Delete", key, end: reader.take(endLength) }
    }
    case 3: {
      const expected = reader.uint64()
      const keyLength = reader.uint32()
      const valueLength = reader.uint32()
      const key = reader.take(keyLength)
      return { _tag: "CompareAndSwap", key, value: reader.take(valueLength), expected }
    }
    case 4: {
      const expected = reader.uint64()
      const keyLength = reader.uint32()
      return { _tag: "CompareAndDelete", key: reader.take(keyLength), expected }
    }
    case 5: {
      const limit = reader.uint32()
      const reverse = reader.uint8()
      const keyLength = reader.uint32()
      const endLength = reader.uint32()
      const key = reader.take(keyLength)
      const end = reader.take(endLength)
      return reverse > 1 ? undefined : { _tag: "Range", key, end, limit, reverse: reverse === 1 }
    }
    default:
      return undefined
  }
}

const malformed = (message: string): Violation => ({ code: "Malformed", message })
