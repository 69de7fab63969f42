/**
 * The first bytes of a native connection: what it is for, and which versions of the protocol the client speaks. The server picks one or refuses in words, so
 * that a newer and an older program never talk past each other.
 *
 * Client: magic `D1 6B 76`, kind u8, lowest version u8, highest version u8, reserved u16 (zero). Server: the same four bytes, chosen version u8
 * (0: refused, and closed), reserved u8, message length u16, message in UTF-8.
 */
import { Array as Arr } from "effect"
import * as Bytes from "./Bytes.ts"
import * as Limits from "./Limits.ts"

/** `batch`: frames of hot operations. `rpc`: rare calls through Effect RPC. */
export type Kind = "batch" | "rpc"

/** Versions that this program speaks. A change of layout adds one; a version is dropped only when no release speaks it any more. */
export const versionMin = 1
export const versionMax = 1

export const magicBytes = 4
export const clientHelloBytes = 8
export const serverHelloHeadBytes = 8

const kinds: Record<Kind, number> = { batch: 0x62, rpc: 0x72 }

/** The kind that the first bytes announce: `undefined` when they are not ours, `"partial"` while they may still become ours. */
export const sniff = (bytes: Uint8Array): Kind | "partial" | undefined => {
  const prefix = [0xd1, 0x6b, 0x76]
  for (let i = 0; i < Math.min(bytes.length, 3); i++) {
    if (bytes[i] !== prefix[i]) return undefined
  }
  if (bytes.length < magicBytes) return "partial"
  return bytes[3] === kinds.batch ? "batch" : bytes[3] === kinds.rpc ? "rpc" : undefined
}

const magic = (writer: Bytes.Writer, kind: Kind): void => {
  writer.uint8(0xd1)
  writer.uint8(0x6b)
  writer.uint8(0x76)
  writer.uint8(kinds[kind])
}

/** What a client sends first. */
export const encodeClient = (kind: Kind, versions = { min: versionMin, max: versionMax }): Uint8Array => {
  const writer = new Bytes.Writer(clientHelloBytes)
  magic(writer, kind)
  writer.uint8(versions.min)
  writer.uint8(versions.max)
  writer.uint16(0)
  return writer.bytes
}

/** The server's verdict on a client's hello: the version to speak, or why not. */
export type Verdict =
  | { readonly _tag: "Accepted"; readonly version: number }
  | { readonly _tag: "Refused"; readonly message: string }

/** Judges the eight bytes of a client's hello. */
export const judge = (hello: Uint8Array): Verdict => {
  const min = hello[4] ?? 0
  const max = hello[5] ?? 0
  if (min > max || min === 0) {
    return { _tag: "Refused", message: `a hello that offers protocol versions ${min} to ${max} makes no sense` }
  }
  const version = Math.min(max, versionMax)
  if (version >= Math.max(min, versionMin)) return { _tag: "Accepted", version }
  const advice = min > versionMax ? "upgrade this server, or use an older client" : "upgrade the client"
  return {
    _tag: "Refused",
    message:
      `this server speaks protocol versions ${versionMin} to ${versionMax}, the client ${min} to ${max}: ${advice}`
  }
}

/** What a server answers. */
export const encodeServer = (kind: Kind, verdict: Verdict): Uint8Array => {
  const message = verdict._tag === "Refused" ? Bytes.message(verdict.message) : Bytes.empty
  const writer = new Bytes.Writer(serverHelloHeadBytes + message.length)
  magic(writer, kind)
  writer.uint8(verdict._tag === "Accepted" ? verdict.version : 0)
  writer.uint8(0)
  writer.uint16(message.length)
  writer.put(message)
  return writer.bytes
}

/**
 * Reads a server's answer from all bytes received so far. `undefined` means more bytes are needed; `consumed` is where the frames begin.
 * A peer that is no dkv server, or that chose a version nobody offered, comes back as `Refused`.
 */
export const decodeServer = (
  bytes: Uint8Array,
  kind: Kind
): { readonly verdict: Verdict; readonly consumed: number } | undefined => {
  const sniffed = sniff(bytes)
  if (sniffed !== "partial" && sniffed !== kind) {
    return { verdict: { _tag: "Refused", message: "the peer is not the client port of a dkv member" }, consumed: 0 }
  }
  if (bytes.length < serverHelloHeadBytes) return undefined
  const reader = new Bytes.Reader(bytes)
  reader.offset = magicBytes
  const version = reader.uint8()
  reader.uint8()
  const length = reader.uint16()
  if (length > Limits.messageBytesMax) {
    return { verdict: { _tag: "Refused", message: "the peer's refusal is longer than allowed" }, consumed: 0 }
  }
  if (reader.remaining < length) return undefined
  const message = Bytes.text(reader.take(length))
  if (version === 0) return { verdict: { _tag: "Refused", message }, consumed: reader.offset }
  if (!Arr.contains(Arr.range(versionMin, versionMax), version)) {
    return {
      verdict: { _tag: "Refused", message: `the server chose protocol version ${version}, which was not offered` },
      consumed: reader.offset
    }
  }
  return { verdict: { _tag: "Accepted", version }, consumed: reader.offset }
}
