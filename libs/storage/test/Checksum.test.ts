import { crc32c as native } from "@node-rs/crc32"
import { assert, describe, it } from "@effect/vitest"
import { crc32c } from "../src/Checksum.ts"

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text)

describe("Checksum", () => {
  it("gives the values of RFC 3720, appendix B.4", () => {
    assert.strictEqual(crc32c(new Uint8Array(32)), 0x8a9136aa)
    assert.strictEqual(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43)
    assert.strictEqual(crc32c(Uint8Array.from({ length: 32 }, (_, at) => at)), 0x46dd794e)
    assert.strictEqual(crc32c(ascii("123456789")), 0xe3069283)
  })

  it("is the same by table and by the native library, for any length, place and seed", () => {
    const bytes = Uint8Array.from({ length: 400 }, (_, at) => (at * 2654435761) >>> 24)
    for (let length = 0; length <= 300; length++) {
      assert.strictEqual(crc32c(bytes, 7, 7 + length, length * 77), native(bytes.subarray(7, 7 + length), length * 77))
    }
  })

  it("goes on from the checksum of what stands before", () => {
    const bytes = Uint8Array.from({ length: 300 }, (_, at) => at)
    assert.strictEqual(crc32c(bytes, 40, 300, crc32c(bytes, 0, 40)), crc32c(bytes))
  })
})
