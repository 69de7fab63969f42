/**
 * CRC-32C (Castagnoli, RFC 3720 §B.4), the checksum of everything this library writes. Short inputs are summed here, because the call into
 * the native library costs more than they do; long ones there, at the speed of the processor's own instruction.
 */
import { crc32c as native } from "@node-rs/crc32"

/** Below this many bytes the table is faster than a native call (measured: they meet between 96 and 128). */
const nativeBytesMin = 96

const tables = ((): ReadonlyArray<Uint32Array> => {
  const first = new Uint32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte
    for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ 0x82f63b78 : remainder >>> 1
    first[byte] = remainder >>> 0
  }
  const all = [first]
  for (let shift = 1; shift < 4; shift++) {
    const previous = all[shift - 1]!
    all.push(previous.map((remainder) => (remainder >>> 8) ^ first[remainder & 255]!))
  }
  return all
})()
const [table0, table1, table2, table3] = tables as [Uint32Array, Uint32Array, Uint32Array, Uint32Array]

const short = (bytes: Uint8Array, from: number, to: number, seed: number): number => {
  let remainder = ~seed
  let at = from
  for (; at + 4 <= to; at += 4) {
    remainder ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    remainder = table3[remainder & 255]! ^ table2[(remainder >>> 8) & 255]! ^ table1[(remainder >>> 16) & 255]! ^
      table0[remainder >>> 24]!
  }
  for (; at < to; at++) remainder = table0[(remainder ^ bytes[at]!) & 255]! ^ (remainder >>> 8)
  return ~remainder >>> 0
}

/**
 * The checksum of `bytes[from, to)` as an unsigned 32-bit integer. `seed` is the checksum of what stands before, or any
 * number that only the owner of the bytes knows, so that bytes from elsewhere do not pass.
 */
export const crc32c = (bytes: Uint8Array, from = 0, to = bytes.length, seed = 0): number =>
  to - from < nativeBytesMin ? short(bytes, from, to, seed) : native(bytes.subarray(from, to), seed)
