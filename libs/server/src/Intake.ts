/**
 * What all batch connections together hold in memory, and which of them wait until it is less. A connection that holds next to nothing is always read. Of those
 * that hold more, one at a time is read even when there is no room, until it has answered something: half-sent frames that fill the memory would wait for each
 * other otherwise.
 */
import { Signal } from "@dkv/protocol"
import { Effect, Latch, Semaphore } from "effect"
import * as Limits from "./Limits.ts"

/** The share of one connection. Written by `Intake` only. */
export class Account {
  held = 0
  /** The part of it that are replies which wait for the other end to read. */
  unsent = 0
  /** Rings when it may be worth asking `mayRead` again. */
  readonly room = new Signal()
}

/** Mutable; shared by the connections of one gateway. */
export class Intake {
  /** Reads with scans that are carried out at once, by consistency: a cluster without a majority must not hold up stale ones. */
  readonly scans = {
    linearizable: Semaphore.makeUnsafe(Limits.scanReadsMax),
    bounded: Semaphore.makeUnsafe(Limits.scanReadsMax),
    stale: Semaphore.makeUnsafe(Limits.scanReadsMax)
  }
  private bytes = 0
  private unsent = 0
  private readonly taken = Latch.makeUnsafe(true)
  private readonly waiting = new Set<Account>()
  private favoured: Account | undefined
  private isWaking = false

  mayRead(account: Account): boolean {
    return this.bytes < Limits.inflightBytesTotalMax || account.held < Limits.inflightFloorBytes ||
      account === this.favoured
  }

  /** `account` holds `bytes` from now on. */
  hold(account: Account, bytes: number): void {
    this.bytes += bytes - account.held
    account.held = bytes
    if (this.waiting.size > 0) this.wake()
  }

  /** Bytes that the answer of a read of keys may have which begins now. Whoever begins it holds them from now on. */
  get allowance(): number {
    const share = (Limits.inflightBytesTotalMax - this.bytes) * Limits.answerShare
    return Math.max(Limits.answerBytesMin, Math.min(Limits.answerBytesMax, Math.floor(share)))
  }

  /** Replies of `bytes` wait from now on for the other end of `account`. */
  owe(account: Account, bytes: number): void {
    this.unsent += bytes - account.unsent
    account.unsent = bytes
    if (this.unsent < Limits.unsentBytesTotalMax) this.taken.openUnsafe()
    else this.taken.closeUnsafe()
  }

  /** Waits until so much has been taken of all replies that a large one may be made. */
  readonly untilTaken: Effect.Effect<void> = Effect.suspend(() =>
    this.unsent < Limits.unsentBytesTotalMax ? Effect.void : Effect.andThen(this.taken.await, this.untilTaken)
  )

  /** Rings for `account` when there is room for it. */
  enqueue(account: Account): void {
    this.waiting.add(account)
    this.wake()
  }

  /** `account` has answered something: the next one's turn, if it was read in spite of the limit. */
  answered(account: Account): void {
    if (account !== this.favoured) return
    this.favoured = undefined
    this.wake()
  }

  /** The connection is over. */
  forget(account: Account): void {
    this.waiting.delete(account)
    if (account === this.favoured) this.favoured = undefined
    this.owe(account, 0)
    this.hold(account, 0)
    this.wake()
  }

  private wake(): void {
    // whoever is rung for reads at once, on this stack
    if (this.isWaking) return
    this.isWaking = true
    for (const account of this.waiting) {
      if (this.bytes >= Limits.inflightBytesTotalMax) {
        if (this.favoured !== undefined) break
        this.favoured = account
      }
      this.waiting.delete(account)
      account.room.raise()
    }
    this.isWaking = false
  }
}
