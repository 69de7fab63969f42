/** Which protocol a connection speaks, from its first bytes. */
import { Hello } from "@dkv/protocol"

/** `batch` and `rpc` are native; `http2` is HTTP/2 without TLS and known by its preface (RFC 9113 §3.4); `tls` is told by its record type. */
export type Protocol = "batch" | "rpc" | "http1" | "http2" | "tls"

const preface = "PRI "

/** The protocol; `partial` when more bytes are needed to tell; `unknown` when it is none of ours. At most four bytes are ever needed. */
export const sniff = (bytes: Uint8Array): Protocol | "partial" | "unknown" => {
  if (bytes.length === 0) return "partial"
  const first = bytes[0]!
  if (first === 0x16) return "tls"
  const native = Hello.sniff(bytes)
  if (native !== undefined) return native
  // an HTTP method
  if (first < 0x41 || first > 0x5a) return "unknown"
  for (let i = 0; i < preface.length; i++) {
    if (i === bytes.length) return "partial"
    if (bytes[i] !== preface.charCodeAt(i)) return "http1"
  }
  return "http2"
}
