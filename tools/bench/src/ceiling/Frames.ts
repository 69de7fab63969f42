/**
 * What the three bare processes of the ceiling say to each other, little-endian.
 *
 * - Put, caller to leader: length u32 of what follows, slot u32, key, value.
 * - Batch, leader to follower: length u32, sequence u32, puts as they came.
 * - Answer, either way: slot or sequence u32, nothing else.
 */
import { ceilingFrameBytesMax, keyBytes, valueBytes } from "../Limits.ts"

export const lengthBytes = 4
export const putBytes = lengthBytes + 4 + keyBytes + valueBytes

/** Calls `onFrames` with the whole frames (their length field removed) of every chunk that brings some. */
export const reader = (
  onFrames: (frames: Array<Buffer>) => void,
  onFailure: (message: string) => void
): (chunk: Buffer) => void => {
  let rest: Buffer | undefined
  return (chunk) => {
    const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk])
    const frames: Array<Buffer> = []
    let at = 0
    while (bytes.length - at >= lengthBytes) {
      const length = bytes.readUInt32LE(at)
      if (length > ceilingFrameBytesMax) return onFailure(`a frame of ${length} bytes`)
      const end = at + lengthBytes + length
      if (end > bytes.length) break
      frames.push(bytes.subarray(at + lengthBytes, end))
      at = end
    }
    rest = at === bytes.length ? undefined : bytes.subarray(at)
    if (frames.length > 0) onFrames(frames)
  }
}

/** Calls `onNumber` for each answer, and `onEnd` after the last of a chunk. */
export const answers = (onNumber: (value: number) => void, onEnd: () => void): (chunk: Buffer) => void => {
  let rest: Buffer | undefined
  return (chunk) => {
    const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    for (; bytes.length - at >= 4; at += 4) onNumber(bytes.readUInt32LE(at))
    rest = at === bytes.length ? undefined : bytes.subarray(at)
    onEnd()
  }
}
