/**
 * Layout of a configuration: the payload of entries of that kind, and part of the bookkeeping kept with the state. Version 1 ended before the settings, and
 * is read with their defaults.
 */
import type { DeadMembers, Settings } from "../core/ClusterSettings.ts"
import * as ClusterSettings from "../core/ClusterSettings.ts"
import type { Configuration, Member } from "../core/Configuration.ts"
import type { MemberId } from "../core/Entry.ts"
import { Malformed, Reader, Writer } from "./Bytes.ts"

const version = 2
const autoPromote = 1
const witness = 2
const leaderLeases = 1
const deadMembers: ReadonlyArray<DeadMembers> = ["off", "warn", "replace"]

/** A configuration never changes, and each applied batch carries it: its bytes are made once. */
const written = new WeakMap<Configuration, Uint8Array>()

export const write = (writer: Writer, configuration: Configuration): Writer => {
  let bytes = written.get(configuration)
  if (bytes === undefined) written.set(configuration, bytes = bytesOf(configuration))
  return writer.raw(bytes)
}

const bytesOf = (configuration: Configuration): Uint8Array => {
  const writer = new Writer(256)
  writer.uint8(version).uint32(configuration.members.length)
  for (const member of configuration.members) {
    writer.memberId(member.id).string(member.name).string(member.peerAddress).string(member.clientAddress)
    writer.uint8((member.autoPromote ? autoPromote : 0) | (member.witness ? witness : 0)).int32(member.priority)
    writer.memberId(member.replaces ?? "")
  }
  writeIds(writer, configuration.voters)
  writeIds(writer, configuration.outgoing)
  const { settings } = configuration
  writer.uint8(settings.leaderLeases ? leaderLeases : 0).uint8(deadMembers.indexOf(settings.deadMembers))
  return writer.uint64(settings.deadMemberMillis).finish()
}

export const read = (reader: Reader): Configuration => {
  const found = reader.uint8()
  if (found === 0 || found > version) {
    throw new Malformed(`configuration of version ${found}; this program knows version ${version}`)
  }
  const members: Array<Member> = []
  for (let left = reader.count(33); left > 0; left--) {
    const id = reader.memberId()
    const name = reader.string()
    const peerAddress = reader.string()
    const clientAddress = reader.string()
    const flags = reader.uint8()
    const priority = reader.int32()
    const replaces = reader.memberId()
    members.push({
      id,
      name,
      peerAddress,
      clientAddress,
      autoPromote: (flags & autoPromote) !== 0,
      witness: (flags & witness) !== 0,
      priority,
      ...(replaces === "" ? {} : { replaces })
    })
  }
  return {
    members,
    voters: readIds(reader),
    outgoing: readIds(reader),
    settings: found === 1 ? ClusterSettings.defaults : readSettings(reader)
  }
}

export const encode = (configuration: Configuration): Uint8Array => write(new Writer(), configuration).finish()

/** Throws `Malformed`. */
export const decode = (bytes: Uint8Array): Configuration => {
  const reader = new Reader(bytes)
  const configuration = read(reader)
  reader.end()
  return configuration
}

const readSettings = (reader: Reader): Settings => {
  const flags = reader.uint8()
  const policy = deadMembers[reader.uint8()]
  if (policy === undefined) throw new Malformed("an unknown policy on dead members")
  return { leaderLeases: (flags & leaderLeases) !== 0, deadMembers: policy, deadMemberMillis: reader.uint64() }
}

const writeIds = (writer: Writer, ids: ReadonlyArray<MemberId>): void => {
  writer.uint32(ids.length)
  for (const id of ids) writer.memberId(id)
}

const readIds = (reader: Reader): ReadonlyArray<MemberId> => {
  const ids: Array<MemberId> = []
  for (let left = reader.count(8); left > 0; left--) ids.push(reader.memberId())
  return ids
}
