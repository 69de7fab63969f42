/** Volatile state machines as raft sees them: what a flush stores, and a state that is lost. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import * as Limits from "../src/Limits.ts"
import { StateMachineError } from "../src/StateMachine.ts"
import { Journal } from "./support/Journal.ts"
import { bytes } from "./support/Register.ts"
import { SnapshotMedium } from "./support/SnapshotMedium.ts"
import { afterCrash, apply, chunksOf, install, type Machine, open, snapshotOf } from "./support/VolatileMachines.ts"

describe("a flush", () => {
  it.effect("writes nothing if nothing was applied since the last one, the start, or an installed snapshot", () =>
    Effect.gen(function*() {
      const medium = new SnapshotMedium()
      const machine = yield* open(new Journal().service(), medium)
      yield* machine.flush
      assert.strictEqual(medium.commits, 0)
      yield* apply(machine, "a")
      yield* machine.flush
      yield* machine.flush
      assert.strictEqual(medium.commits, 1)
      yield* machine.apply([], { head: bytes("b"), changes: () => [] })
      yield* machine.flush
      assert.strictEqual(medium.commits, 2, "an entry without a command moves the head")
      yield* install(machine, yield* snapshotOf("x"))
      yield* machine.flush
      assert.strictEqual(medium.commits, 3, "the installed one")
      yield* Effect.scoped(Effect.flatMap(open(new Journal().service(), medium), (again) => again.flush))
      assert.strictEqual(medium.commits, 3)
    }))

  it.effect("is of the moment when it began: what is applied while it is written waits for the next one", () =>
    Effect.gen(function*() {
      const medium = new SnapshotMedium()
      const machine = yield* open(new Journal().service(), medium)
      yield* apply(machine, "a")
      yield* medium.writing.close
      const flush = yield* Effect.forkChild(machine.flush, { startImmediately: true })
      yield* apply(machine, "b", "c")
      yield* medium.writing.open
      yield* Fiber.join(flush)
      assert.deepStrictEqual(yield* afterCrash(medium), ["a", "a"])
    }))

  it.effect("what was applied while one was written is in the next one", () =>
    Effect.gen(function*() {
      const medium = new SnapshotMedium()
      const machine = yield* open(new Journal().service(), medium)
      yield* apply(machine, "a")
      yield* medium.committing.close
      const flush = yield* Effect.forkChild(machine.flush, { startImmediately: true })
      yield* apply(machine, "b")
      yield* medium.committing.open
      yield* Fiber.join(flush)
      yield* machine.flush
      assert.deepStrictEqual(yield* afterCrash(medium), ["b", "a", "b"])
    }))

  it.effect("waits for the batch that is being applied, and never has a part of one", () =>
    Effect.gen(function*() {
      const medium = new SnapshotMedium()
      const journal = new Journal()
      const machine = yield* open(journal.service(), medium)
      yield* apply(machine, "a")
      yield* journal.applying.close
      const applying = yield* Effect.forkChild(apply(machine, "b", "c"), { startImmediately: true })
      assert.deepStrictEqual(journal.commands, ["a", "b"])
      const flush = yield* Effect.forkChild(machine.flush, { startImmediately: true })
      const snapshot = yield* Effect.forkChild(
        Effect.scoped(Effect.flatMap(machine.snapshot, chunksOf)),
        { startImmediately: true }
      )
      yield* journal.applying.open
      yield* Fiber.join(applying)
      yield* Fiber.join(flush)
      const chunks = yield* Fiber.join(snapshot)
      assert.deepStrictEqual(yield* afterCrash(medium), ["c", "a", "b", "c"])
      const other = new Journal()
      yield* install(yield* open(other.service(), new SnapshotMedium()), chunks)
      assert.deepStrictEqual(other.commands, ["a", "b", "c"])
    }))

  it.effect("that began before a snapshot was installed does not come after it", () =>
    Effect.gen(function*() {
      const medium = new SnapshotMedium()
      const machine = yield* open(new Journal().service(), medium)
      const newer = yield* snapshotOf("x", "y", "z")
      yield* apply(machine, "a")
      const writer = yield* machine.install
      for (const chunk of newer) yield* writer.write(chunk)
      yield* medium.writing.close
      const flush = yield* Effect.forkChild(machine.flush, { startImmediately: true })
      const commit = yield* Effect.forkChild(writer.commit, { startImmediately: true })
      yield* Effect.yieldNow
      yield* medium.writing.open
      yield* Fiber.join(flush)
      yield* Fiber.join(commit)
      assert.deepStrictEqual(yield* afterCrash(medium), ["z", "x", "y", "z"])
    }))

  it.effect("that fails leaves the former snapshot, and says why", () =>
    Effect.gen(function*() {
      const medium = new SnapshotMedium()
      const machine = yield* open(new Journal().service(), medium)
      yield* apply(machine, "a")
      yield* machine.flush
      yield* apply(machine, "b")
      medium.failure = new StateMachineError({ reason: "Full", message: "no space left" })
      assert.strictEqual((yield* Effect.flip(machine.flush)).reason, "Full")
      assert.deepStrictEqual(yield* afterCrash(medium), ["a", "a"])
    }))

  it.effect("a chunk of the state that is too large dies and says what to do; the former snapshot stays", () =>
    Effect.gen(function*() {
      const medium = new SnapshotMedium()
      const huge = new Uint8Array(Limits.stateChunkBytesMax + 1)
      const machine = yield* open(
        { ...new Journal().service(), capture: Effect.succeed(Stream.make(bytes("a"), huge)) },
        medium
      )
      yield* apply(machine, "a")
      const exit = yield* Effect.exit(machine.flush)
      assert.match(String(Exit.isFailure(exit) && exit.cause), /a chunk of 67108865 bytes.*cut it/)
      assert.isUndefined(medium.stored)
    }))

  it.effect("closing writes a last one, and a failure of that is no failure", () =>
    Effect.gen(function*() {
      const medium = new SnapshotMedium()
      yield* Effect.scoped(Effect.flatMap(open(new Journal().service(), medium), (machine) => apply(machine, "a")))
      assert.deepStrictEqual(yield* afterCrash(medium), ["a", "a"])
      medium.failure = new StateMachineError({ reason: "Full", message: "no space left" })
      yield* Effect.scoped(Effect.flatMap(open(new Journal().service(), medium), (machine) => apply(machine, "b")))
      assert.deepStrictEqual(yield* afterCrash(medium), ["a", "a"])
    }))
})

describe("a state that is lost", () => {
  const spoils = {
    "an apply that fails": (machine: Machine, journal: Journal) => {
      journal.failure = new StateMachineError({ reason: "Io", message: "halfway" })
      return Effect.exit(apply(machine, "b", "c"))
    },
    "an apply that dies": (machine: Machine, journal: Journal) => {
      journal.commands = Object.freeze(journal.commands.slice()) as Array<string>
      return Effect.exit(apply(machine, "b", "c"))
    },
    "an apply that is interrupted": Effect.fnUntraced(function*(machine: Machine, journal: Journal) {
      yield* journal.applying.close
      yield* Fiber.interrupt(yield* Effect.forkChild(apply(machine, "b", "c"), { startImmediately: true }))
      yield* journal.applying.open
    }),
    "a snapshot that was restored and could not be stored": Effect.fnUntraced(
      function*(machine: Machine, _: Journal, medium: SnapshotMedium) {
        medium.failure = new StateMachineError({ reason: "Io", message: "EIO" })
        yield* Effect.exit(install(machine, yield* snapshotOf("x")))
        medium.failure = undefined
      }
    )
  }
  for (const [what, spoil] of Object.entries(spoils)) {
    it.effect(`${what}: nothing is applied, stored or sent any more`, () =>
      Effect.gen(function*() {
        const medium = new SnapshotMedium()
        yield* Effect.scoped(Effect.gen(function*() {
          const journal = new Journal()
          const machine = yield* open(journal.service(), medium)
          yield* apply(machine, "a")
          yield* machine.flush
          yield* apply(machine, "a2")
          yield* spoil(machine, journal, medium)
          journal.failure = undefined
          const commit = install(machine, yield* snapshotOf("x"))
          for (const call of [apply(machine, "d"), machine.flush, Effect.scoped(machine.snapshot), commit]) {
            assert.match((yield* Effect.flip(call)).message, /The state in memory is lost.*Start the member again/)
          }
        }))
        assert.deepStrictEqual(yield* afterCrash(medium), ["a", "a"], "not on closing either")
      }))
  }
})
