/**
 * The first frame in each direction of a connection. The one who dials says hello; the one who accepts answers; only then
 * does anything else flow.
 *
 * Hello, big-endian: magic "dkvp", lowest and highest protocol version spoken u16 each, kind u8, cluster id u64, sender u64,
 * intended receiver u64. Answer: code u8, lowest and highest version spoken u16 each, version chosen u16, explanation UTF-8.
 *
 * Versions. The highest version that both speak is used. So a peer that is newer, and still speaks one of ours, talks to us
 * in ours; one that does not is refused with `VersionTooNew`, an older one with `VersionTooOld`, and either is told our range, so
 * that both logs say which side to upgrade. For this to work for ever, magic, versions and kind of a hello and the first
 * seven bytes of an answer never move; later versions append, and what is appended is ignored by those who do not know it.
 */
import { Effect } from "effect"
import type { MemberId } from "@dkv/raft"
import type { ConnectionError } from "./Connection.ts"
import * as Connection from "./Connection.ts"
import { FrameType } from "./Frame.ts"

/** Lowest and highest protocol version that a program speaks. */
export interface Versions {
  readonly min: number
  readonly max: number
}

/** What this program speaks. */
export const versions: Versions = { min: 1, max: 1 }

/** What a connection is for. The numbers are on the wire. */
export const Kind = { raft: 1, bulk: 2, control: 3 } as const
export type Kind = keyof typeof Kind

export interface Hello {
  readonly versions: Versions
  readonly kind: Kind
  /** 16 hexadecimal digits, as the member ids; all three are `unknownId` on a control connection. */
  readonly clusterId: string
  readonly from: MemberId
  readonly to: MemberId
}

export const unknownId = "0000000000000000"

/**
 * Why a connection was refused.
 *
 * - `VersionTooOld`, `VersionTooNew`: the peer speaks only versions before, or after, ours: upgrade the older of the two.
 * - `WrongCluster`: a member of another cluster. `WrongMember`: the address belongs to another member than intended.
 * - `Unknown`: not in the configuration (yet). `Removed`: no longer in it.
 * - `NotReady`: nothing serves this kind of connection yet; try again soon. `Busy`: a limit was reached; try again later.
 */
export const Refusal = {
  VersionTooOld: 1,
  VersionTooNew: 2,
  WrongCluster: 3,
  WrongMember: 4,
  Unknown: 5,
  Removed: 6,
  NotReady: 7,
  Busy: 8
} as const
export type Refusal = keyof typeof Refusal

export interface Refused {
  readonly reason: Refusal
  readonly message: string
}

/** An answer as it is read: code 0 accepts. A code that we do not know is a refusal too, and keeps its message. */
export interface Answer {
  readonly code: number
  readonly versions: Versions
  readonly version: number
  readonly message: string
}

const magic = 0x646b_7670
const helloBytes = 33
const answerBytes = 7

export const encodeHello = (hello: Hello): Uint8Array => {
  const bytes = new Uint8Array(helloBytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, magic)
  view.setUint16(4, hello.versions.min)
  view.setUint16(6, hello.versions.max)
  view.setUint8(8, Kind[hello.kind])
  writeId(view, 9, hello.clusterId)
  writeId(view, 17, hello.from)
  writeId(view, 25, hello.to)
  return bytes
}

/** Undefined if these bytes are no hello. A hello of a version that we do not speak is read as far as it is common to all versions. */
export const decodeHello = (bytes: Uint8Array): Hello | undefined => {
  if (bytes.length < 9) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const kind = kinds.get(view.getUint8(8))
  const min = view.getUint16(4)
  const max = view.getUint16(6)
  if (view.getUint32(0) !== magic || min > max || kind === undefined) return undefined
  const known = bytes.length >= helloBytes
  return {
    versions: { min, max },
    kind,
    clusterId: known ? readId(view, 9) : unknownId,
    from: known ? readId(view, 17) : unknownId,
    to: known ? readId(view, 25) : unknownId
  }
}

export const encodeAnswer = (answer: Answer): Uint8Array => {
  const text = new TextEncoder().encode(answer.message)
  const bytes = new Uint8Array(answerBytes + text.length)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, answer.code)
  view.setUint16(1, answer.versions.min)
  view.setUint16(3, answer.versions.max)
  view.setUint16(5, answer.version)
  bytes.set(text, answerBytes)
  return bytes
}

export const decodeAnswer = (bytes: Uint8Array): Answer | undefined => {
  if (bytes.length < answerBytes) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return {
    code: view.getUint8(0),
    versions: { min: view.getUint16(1), max: view.getUint16(3) },
    version: view.getUint16(5),
    message: new TextDecoder().decode(bytes.subarray(answerBytes))
  }
}

/** The name of a refusal's code; undefined for one that this version does not know. */
export const refusalOf = (code: number): Refusal | undefined => refusals.get(code)

/** The highest version that both speak, or why there is none. */
export const chooseVersion = (ours: Versions, theirs: Versions): number | Refused => {
  if (theirs.max < ours.min) {
    return {
      reason: "VersionTooOld",
      message: `this member speaks protocol versions ${range(ours)}, the peer only ${range(theirs)}: upgrade the peer`
    }
  }
  if (theirs.min > ours.max) {
    return {
      reason: "VersionTooNew",
      message: `this member speaks protocol versions ${range(ours)}, the peer only ${
        range(theirs)
      }: upgrade this member`
    }
  }
  return Math.min(ours.max, theirs.max)
}

/** The accepting side's half: reads the hello. Fails with `Protocol` for anything else. */
export const receiveHello = Effect.fnUntraced(function*(
  connection: Connection.Connection
): Effect.fn.Return<Hello, ConnectionError> {
  yield* connection.receive
  const hello = connection.frames.type === FrameType.Hello ? decodeHello(connection.frames.message) : undefined
  if (hello === undefined) return yield* Connection.protocolError("did not begin with a hello")
  return hello
})

export const sendAnswer = (connection: Connection.Connection, answer: Answer): Effect.Effect<void, ConnectionError> =>
  connection.send(FrameType.Answer, [encodeAnswer(answer)])

/** The dialling side's half: says hello and waits for the answer. */
export const greet = Effect.fnUntraced(function*(
  connection: Connection.Connection,
  hello: Hello
): Effect.fn.Return<Answer, ConnectionError> {
  yield* connection.send(FrameType.Hello, [encodeHello(hello)])
  yield* connection.receive
  const answer = connection.frames.type === FrameType.Answer ? decodeAnswer(connection.frames.message) : undefined
  if (answer === undefined) return yield* Connection.protocolError("did not answer the hello")
  if (answer.code === 0 && (answer.version < hello.versions.min || answer.version > hello.versions.max)) {
    return yield* Connection.protocolError(`chose protocol version ${answer.version}, which was not offered`)
  }
  return answer
})

const kinds: ReadonlyMap<number, Kind> = new Map(
  (Object.keys(Kind) as ReadonlyArray<Kind>).map((kind) => [Kind[kind], kind])
)

const refusals: ReadonlyMap<number, Refusal> = new Map(
  (Object.keys(Refusal) as ReadonlyArray<Refusal>).map((reason) => [Refusal[reason], reason])
)

const range = (versions: Versions): string =>
  versions.min === versions.max ? `${versions.min}` : `${versions.min} to ${versions.max}`

const writeId = (view: DataView, at: number, id: string): void => {
  view.setUint32(at, Number.parseInt(id.slice(0, 8), 16))
  view.setUint32(at + 4, Number.parseInt(id.slice(8), 16))
}

const readId = (view: DataView, at: number): string =>
  view.getUint32(at).toString(16).padStart(8, "0") + view.getUint32(at + 4).toString(16).padStart(8, "0")
