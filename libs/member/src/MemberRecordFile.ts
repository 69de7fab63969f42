/**
 * The member's record as a file in its data directory: one line of JSON, and a line with its checksum, so that a person can read it and
 * damage is seen.
 */
import { AtomicFile, Disk } from "@dkv/storage"
import { Effect, Layer, Option, Result, Schema } from "effect"
import * as ControlMessage from "./ControlMessage.ts"
import { recordBytesMax } from "./Limits.ts"
import { MemberRecord, MemberRecordError } from "./MemberRecord.ts"
import type { Record } from "./MemberRecord.ts"

/** Changes when an older program could misread the file, and must then refuse it. A full member's is written as 1, from before there were witnesses. */
export const formatVersion = 2

export const fileName = "member.json"

const Id = Schema.String.check(Schema.isPattern(/^[0-9a-f]{16}$/))

const Damage = Schema.OptionFromNullOr(Schema.Struct({ memberId: Id, reason: Schema.String }))

/** The last four came later: a file without them is as good. */
const Body = Schema.fromJsonString(Schema.Struct({
  memberId: Id,
  name: Schema.String,
  witness: Schema.optionalKey(Schema.Boolean),
  clusterId: Schema.OptionFromNullOr(Id),
  founding: Schema.OptionFromNullOr(ControlMessage.Configuration),
  pending: Schema.Array(Schema.String),
  contacts: Schema.Array(Schema.Struct({ id: Id, peerAddress: Schema.String })),
  hasLog: Schema.Boolean,
  rebuild: Damage.pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  damaged: Damage.pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  takeOver: Schema.OptionFromNullOr(Id).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  formerClusters: Schema.Array(Id).pipe(Schema.withDecodingDefaultKey(Effect.succeed([])))
}))

const Envelope = Schema.fromJsonString(Schema.Struct({ format: Schema.Int }))

const decodeBody = Schema.decodeUnknownResult(Body)
const encodeBody = Schema.encodeSync(Body)
const decodeEnvelope = Schema.decodeUnknownResult(Envelope)

/** FNV-1a, 32 bits: enough to see a damaged letter in a line that a person may have edited. */
const checksum = (text: string): string => {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash.toString(16).padStart(8, "0")
}

const sealed = (line: string): string => `${line}\n${checksum(line)}\n`

/** The bytes of the file. */
export const encode = (record: Record): Uint8Array => {
  const { witness, ...rest } = record
  const line = witness
    ? `{"format":2,${encodeBody({ ...rest, witness }).slice(1)}`
    : `{"format":1,${encodeBody(rest).slice(1)}`
  return new TextEncoder().encode(sealed(line))
}

/** Of an even number of members, a majority of the others is no quorum yet; a leader has one. */
const ifNotNeeded = "if the others have a leader without this one (dkvctl status on them shows it)"

/** The record, or what is wrong with the bytes. */
export const decode = (bytes: Uint8Array): Result.Result<Record, string> => {
  const text = new TextDecoder().decode(bytes)
  const [line = ""] = text.split("\n", 1)
  const envelope = decodeEnvelope(line)
  if (Result.isSuccess(envelope) && (envelope.success.format < 1 || envelope.success.format > formatVersion)) {
    return Result.fail(
      `has format ${envelope.success.format}, this program knows up to ${formatVersion}: run the release that wrote it, or a newer one`
    )
  }
  if (text !== sealed(line)) {
    return Result.fail(
      `is damaged: put it back from a backup. Only ${ifNotNeeded}, remove the data directory instead: the member then comes back from them`
    )
  }
  return decodeBody(line).pipe(
    Result.mapBoth({
      onFailure: (error) => `does not make sense (${error.message})`,
      onSuccess: (body) => ({ ...body, witness: body.witness ?? false })
    })
  )
}

const missing = "is missing, but there are log and state beside it: put it back from a backup. " +
  `Only ${ifNotNeeded}, move the data directory away and start with an empty one: the member then comes back from them`

/**
 * Whether a record was here: it is written before log and state are made, and stays while damaged ones are put away, so no crash leaves these without it. A new identity
 * on top of them would vote and acknowledge as if it had never done so.
 */
const isLost = Effect.fnUntraced(function*(directory: string) {
  const disk = yield* Disk.Disk
  const names = yield* disk.list(directory)
  return names.includes("log") || names.includes("state")
})

/** The record in `directory`, which must exist and be this process's alone. Log and state lie beside it. */
export const layer = (options: { readonly directory: string }): Layer.Layer<MemberRecord, never, Disk.Disk> =>
  Layer.effect(
    MemberRecord,
    Effect.gen(function*() {
      const disk = yield* Disk.Disk
      const path = `${options.directory}/${fileName}`
      const fromDisk = (cause: Disk.DiskError) => new MemberRecordError({ message: `${path}: ${cause.message}`, cause })
      const none = Effect.flatMap(
        Effect.mapError(isLost(options.directory), fromDisk),
        (lost) => lost ? Effect.fail(new MemberRecordError({ message: `${path} ${missing}` })) : Effect.succeedNone
      )
      return MemberRecord.of({
        load: AtomicFile.read(path, recordBytesMax).pipe(
          Effect.map((bytes) =>
            bytes.length > recordBytesMax ? Result.fail("is damaged: it is too long") : decode(bytes)
          ),
          Effect.flatMap(Result.match({
            onFailure: (why) => Effect.fail(new MemberRecordError({ message: `${path} ${why}` })),
            onSuccess: (record) => Effect.succeed(Option.some(record))
          })),
          Effect.catchTag(
            "DiskError",
            (error) => error.reason === "NotFound" ? none : Effect.fail(fromDisk(error))
          ),
          Effect.provideService(Disk.Disk, disk)
        ),
        save: (record) =>
          AtomicFile.write(path, encode(record)).pipe(
            Effect.mapError(fromDisk),
            Effect.provideService(Disk.Disk, disk)
          )
      })
    })
  )
