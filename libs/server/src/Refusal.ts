/** What a connection is told, in its own protocol, when nothing serves that protocol here. */
import { Bytes, Hello } from "@dkv/protocol"
import type { Protocol } from "./Sniff.ts"

const words = "not served on this port of this member"

/** The bytes to send before closing. */
export const refusal = (protocol: Protocol | "unknown"): Uint8Array => {
  switch (protocol) {
    case "batch":
    case "rpc":
      return Hello.encodeServer(protocol, { _tag: "Refused", message: `native ${protocol} connections are ${words}` })
    case "http1": {
      const body = `HTTP/1.1 is ${words}\n`
      const head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n"
      return Bytes.utf8(`${head}Content-Length: ${body.length}\r\n\r\n${body}`)
    }
    case "http2":
      return http2GoAway(`HTTP/2 and gRPC are ${words}`)
    case "tls":
      // fatal alert, handshake_failure (RFC 8446 §6.2): TLS has no words before a handshake
      return Uint8Array.of(0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28)
    case "unknown":
      return Bytes.utf8("dkv: this is a client port; it speaks HTTP and dkv's native protocol\n")
  }
}

/** An empty SETTINGS frame, then GOAWAY with HTTP_1_1_REQUIRED and the message as debug data (RFC 9113 §6.5, §6.8, §7). */
const http2GoAway = (message: string): Uint8Array => {
  const debug = Bytes.utf8(message)
  const writer = new Bytes.Writer(9 + 9 + 8 + debug.length)
  writer.uint32(0x0000_0004)
  writer.offset = 9
  const length = 8 + debug.length
  writer.uint8(0)
  writer.uint16(length)
  writer.uint8(7)
  writer.offset = 9 + 9
  writer.uint32(0)
  writer.uint32(0xd)
  writer.put(debug)
  return writer.bytes
}
