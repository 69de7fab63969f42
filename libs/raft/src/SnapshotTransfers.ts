/** Gives every peer that needs a snapshot one, and keeps the log that its receiver will ask for next. */
import { Effect } from "effect"
import * as MetaCodec from "./codec/MetaCodec.ts"
import type { LogIndex, MemberId } from "./core/Entry.ts"
import * as Limits from "./Limits.ts"
import type { Member, Pin } from "./Member.ts"
import { vital } from "./Member.ts"
import * as SnapshotSender from "./SnapshotSender.ts"
import * as VolatileSnapshot from "./VolatileSnapshot.ts"

/** One snapshot transfer per peer that needs one. */
export const run = (member: Member) =>
  Effect.scoped(Effect.gen(function*() {
    const served = new Set<MemberId>()
    let nextSnapshot = Math.floor(member.random.nextDoubleUnsafe() * 0x1_0000_0000)
    while (true) {
      yield* member.snapshotsWakeup.wait
      for (const peer of member.snapshotsWanted.splice(0)) {
        if (served.has(peer)) continue
        served.add(peer)
        const sending = Effect.scoped(send(member, peer, nextSnapshot++)).pipe(
          Effect.ensuring(Effect.sync(() => served.delete(peer))),
          // not before: whoever is told may ask for the next one at once
          Effect.map((sent) => member.mailbox.complete({ _tag: "SnapshotSent", peer, ...sent }))
        )
        yield* Effect.forkScoped(vital(member, sending))
      }
    }
  }))

const send = Effect.fnUntraced(function*(member: Member, peer: MemberId, snapshot: number) {
  const { applier, core, transfers } = member
  const term = core.term
  const { head, reader } = core.progress.get(peer)?.witness === true
    ? headOnly(applier.head())
    : yield* applier.pause(
      Effect.map(member.stateMachine.snapshot, (reader) => ({ reader, head: applier.head() }))
    )
  const isLeading = () => core.role === "Leader" && core.term === term
  /** An acknowledgement shows it too: the receiver's last word about the snapshot may be lost. */
  const hasIt = () => isLeading() && (core.progress.get(peer)?.match ?? 0) >= head.index
  const transfer = yield* SnapshotSender.make({
    peer,
    snapshot,
    index: head.index,
    indexTerm: head.term,
    term,
    isCurrent: () => isLeading() && core.progress.has(peer) && !hasIt(),
    reader,
    startedAtBytes: member.appendedBytes,
    transport: member.transport
  })
  transfers.set(peer, transfer)
  yield* Effect.logInfo(`sends member ${peer} a snapshot up to entry ${head.index}`)
  const delivered = yield* transfer.run.pipe(
    Effect.map((installed) => installed || hasIt()),
    Effect.tap((delivered) =>
      Effect.sync(() => {
        const { bytesUnsafe, index, startedAtBytes } = transfer
        if (delivered) member.catchingUp.set(peer, { bytesUnsafe, index, startedAtBytes })
      })
    ),
    // whoever refused this one will refuse the next one too, if it comes at once
    Effect.tap((delivered) => isLeading() && !delivered ? Effect.sleep(Limits.snapshotPauseMillis) : Effect.void),
    Effect.ensuring(Effect.sync(() => transfers.delete(peer)))
  )
  yield* Effect.logInfo(`member ${peer} ${delivered ? "has" : "did not take"} the snapshot up to entry ${head.index}`)
  return { index: head.index, delivered }
})

/** Clients' sessions stay where their records are. */
const headOnly = (head: MetaCodec.Head) => ({
  head,
  reader: VolatileSnapshot.headOnly(MetaCodec.encodeHead({ ...head, group: undefined }))
})

/**
 * Behind which index the log is kept for the receivers of snapshots, up to a limit in bytes: during the transfer for what they ask for next, and after it
 * until they have caught up, or a busy leader would have dropped that again and begin anew for ever.
 */
export const pinnedIndex = (member: Member, trailingEntries: number): LogIndex => {
  const { appendedBytes, catchingUp, core, transfers } = member
  const hasRoom = ({ bytesUnsafe, startedAtBytes }: Pin) =>
    appendedBytes - startedAtBytes <= Math.max(Limits.snapshotPinBytesMax, bytesUnsafe())
  let lowest = Infinity
  for (const transfer of transfers.values()) if (hasRoom(transfer)) lowest = Math.min(lowest, transfer.index)
  for (const [peer, pin] of catchingUp) {
    const match = core.progress.get(peer)?.match ?? Infinity
    if (hasRoom(pin) && match < core.commitIndex - trailingEntries) {
      lowest = Math.min(lowest, Math.max(pin.index, match))
    } else catchingUp.delete(peer)
  }
  return lowest
}
