/**
 * What a member has yet to look at, in three lanes so that nothing can deadlock.
 *
 * - *completions* of what the member itself ordered: as many as it has credit for, never refused.
 * - *peers*: bounded per peer; beyond that frames are dropped, which Raft tolerates.
 * - *calls*: the callers' side is bounded where they enter (`Proposals`, `Readers`, `Changes`); here they only ring the bell.
 */
import { Effect } from "effect"
import type { MemberId } from "./core/Entry.ts"
import type { Input } from "./core/Input.ts"
import * as Limits from "./Limits.ts"
import * as Wakeup from "./Wakeup.ts"

export interface Frame {
  readonly from: MemberId
  readonly bytes: Uint8Array
}

export class Mailbox {
  readonly wakeup: Wakeup.Wakeup
  private completions: Array<Input> = []
  private frames: Array<Frame> = []
  private readonly load = new Map<MemberId, { frames: number; bytes: number }>()

  private readonly peerFramesMax: number

  constructor(wakeup: Wakeup.Wakeup, peerFramesMax: number = Limits.peerFramesMax) {
    this.wakeup = wakeup
    this.peerFramesMax = peerFramesMax
  }

  complete(input: Input): void {
    this.completions.push(input)
    this.wakeup.ringUnsafe()
  }

  /** False if the peer's lane is full: the frame is dropped. */
  receive(from: MemberId, bytes: Uint8Array): boolean {
    let load = this.load.get(from)
    if (load === undefined) this.load.set(from, load = { frames: 0, bytes: 0 })
    if (
      load.frames > 0 && (load.frames >= this.peerFramesMax || load.bytes + bytes.length > Limits.peerFrameBytesMax)
    ) {
      return false
    }
    load.frames++
    load.bytes += bytes.length
    this.frames.push({ from, bytes })
    this.wakeup.ringUnsafe()
    return true
  }

  /** Frames and bytes of the peer that has most of them here. */
  get fullest(): { readonly frames: number; readonly bytes: number } {
    let frames = 0
    let bytes = 0
    for (const load of this.load.values()) {
      frames = Math.max(frames, load.frames)
      bytes = Math.max(bytes, load.bytes)
    }
    return { frames, bytes }
  }

  takeCompletions(): ReadonlyArray<Input> {
    const taken = this.completions
    this.completions = []
    return taken
  }

  takeFrames(): ReadonlyArray<Frame> {
    const taken = this.frames
    if (taken.length > 0) {
      this.frames = []
      this.load.clear()
    }
    return taken
  }
}

export const make = (peerFramesMax?: number): Effect.Effect<Mailbox> =>
  Effect.map(Wakeup.make, (wakeup) => new Mailbox(wakeup, peerFramesMax))
