/** CRC-32C (Castagnoli), the checksum of snapshot chunks. Source: RFC 3720, appendix B.4. */
const table = /* @__PURE__ */ makeTable()

function makeTable(): Uint32Array {
  const table = new Uint32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let value = byte
    for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
    table[byte] = value
  }
  return table
}

export const checksum = (bytes: Uint8Array): number => {
  let value = 0xffff_ffff
  for (let offset = 0; offset < bytes.length; offset++) value = table[(value ^ bytes[offset]!) & 0xff]! ^ (value >>> 8)
  return (value ^ 0xffff_ffff) >>> 0
}
