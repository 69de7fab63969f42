/** The pieces of HTTP/2 (RFC 9113) and of its header compression (RFC 7541) that the raw client for etcd puts together. */

export const FrameType = {
  Data: 0,
  Headers: 1,
  RstStream: 3,
  Settings: 4,
  Ping: 6,
  GoAway: 7,
  WindowUpdate: 8,
  Continuation: 9
} as const

export const Flag = { EndStream: 1, Ack: 1, EndHeaders: 4 } as const

export const frameHeaderBytes = 9

export const receiveWindowBytes = 16 * 1024 * 1024
const streamWindowBytes = 1024 * 1024
export const defaultWindowBytes = 65_535

export const frame = (type: number, flags: number, stream: number, payload: Uint8Array): Buffer => {
  const bytes = Buffer.alloc(frameHeaderBytes + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes.writeUInt8(type, 3)
  bytes.writeUInt8(flags, 4)
  bytes.writeUInt32BE(stream, 5)
  bytes.set(payload, frameHeaderBytes)
  return bytes
}

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A settings parameter, as id and value. */
const setting = (id: number, value: number): Buffer => {
  const bytes = Buffer.alloc(6)
  bytes.writeUInt16BE(id, 0)
  bytes.writeUInt32BE(value, 2)
  return bytes
}

/** What a client sends first: the preface, its settings, and a window so large that the server never waits for it. */
export const preface: Buffer = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1"),
  frame(FrameType.Settings, 0, 0, Buffer.concat([setting(2, 0), setting(4, streamWindowBytes)])),
  frame(FrameType.WindowUpdate, 0, 0, uint32(receiveWindowBytes - defaultWindowBytes))
])

export const settingsAck = frame(FrameType.Settings, Flag.Ack, 0, Buffer.alloc(0))

const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value, "latin1")])

/** The header fields of a gRPC call, each put into the server's dynamic table (RFC 7541 §6.2.1), so that later calls need six bytes. */
export const headersFirst = (path: string, authority: string): Buffer =>
  Buffer.concat([
    Buffer.from([0x83, 0x86, 0x44]),
    text(path),
    Buffer.from([0x41]),
    text(authority),
    Buffer.from([0x5f]),
    text("application/grpc"),
    Buffer.from([0x40]),
    text("te"),
    text("trailers")
  ])

/** The same fields by their places in the tables; the dynamic one begins at 62 with the newest. */
export const headersNext = Buffer.from([0x83, 0x86, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62])
