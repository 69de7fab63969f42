/** What every layer of storage's `Disk` has to do, as cases that any test runner can run: register each `run` under its `name`. */
import type { Disk } from "@dkv/storage"
import { Effect, type Scope } from "effect"
import * as assert from "node:assert/strict"

export interface Subject {
  readonly disk: Disk.Disk["Service"]
  /** An empty directory. */
  readonly directory: string
}

export interface Case {
  readonly name: string
  readonly run: (subject: Subject) => Effect.Effect<void, Disk.DiskError, Scope.Scope>
}

const text = (words: string): Uint8Array => new TextEncoder().encode(words)
const words = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

const reasonOf = <A>(effect: Effect.Effect<A, Disk.DiskError, Scope.Scope>) =>
  Effect.scoped(Effect.match(effect, { onSuccess: () => "Success", onFailure: (error) => error.reason }))

export const cases: ReadonlyArray<Case> = [
  {
    name: "what is written is read back at its place, and a read ends with the file",
    run: Effect.fnUntraced(function*({ directory, disk }) {
      const file = yield* disk.open(`${directory}/a`, { access: "write", create: "new" })
      yield* file.write(0, [text("hello "), text("world")])
      yield* file.write(6, [text("disk!")])
      assert.equal(words(yield* file.read(0, 100)), "hello disk!")
      assert.equal(words(yield* file.read(6, 4)), "disk")
      assert.equal((yield* file.read(50, 4)).length, 0)
      assert.equal(yield* file.size, 11)
      yield* file.sync
      yield* file.close
    })
  },
  {
    name: "a durable write needs no sync, and a gap before it reads as zeros",
    run: Effect.fnUntraced(function*({ directory, disk }) {
      const file = yield* disk.open(`${directory}/a`, { access: "write", create: "missing", durableWrites: true })
      yield* file.write(3, [text("x"), new Uint8Array(0), text("yz")])
      assert.deepEqual([...(yield* file.read(0, 10))], [0, 0, 0, 120, 121, 122])
      yield* file.close
    })
  },
  {
    name: "truncate cuts, and lengthens with zeros",
    run: Effect.fnUntraced(function*({ directory, disk }) {
      const file = yield* disk.open(`${directory}/a`, { access: "write", create: "new" })
      yield* file.write(0, [text("abcdef")])
      yield* file.truncate(2)
      yield* file.truncate(4)
      assert.deepEqual([...(yield* file.read(0, 10))], [97, 98, 0, 0])
      yield* file.close
    })
  },
  {
    name: "create says whether the file may or must be there",
    run: Effect.fnUntraced(function*({ directory, disk }) {
      const path = `${directory}/a`
      assert.equal(yield* reasonOf(disk.open(path, { access: "read" })), "NotFound")
      assert.equal(yield* reasonOf(disk.open(path, { access: "write", create: "never" })), "NotFound")
      yield* Effect.flatMap(disk.open(path, { access: "write", create: "new" }), (file) => file.close)
      assert.equal(yield* reasonOf(disk.open(path, { access: "write", create: "new" })), "Exists")
      yield* Effect.flatMap(disk.open(path, { access: "write", create: "missing" }), (file) => file.close)
      assert.equal(yield* reasonOf(disk.open(`${directory}/none/a`, { access: "write", create: "new" })), "NotFound")
    })
  },
  {
    name: "rename replaces its target, unlink removes, list shows names in order",
    run: Effect.fnUntraced(function*({ directory, disk }) {
      for (const name of ["b", "a", "c"]) {
        const file = yield* disk.open(`${directory}/${name}`, { access: "write", create: "new" })
        yield* file.write(0, [text(name)])
        yield* file.close
      }
      assert.deepEqual(yield* disk.list(directory), ["a", "b", "c"])
      yield* disk.rename(`${directory}/a`, `${directory}/c`)
      yield* disk.unlink(`${directory}/b`)
      yield* disk.syncDirectory(directory)
      assert.deepEqual(yield* disk.list(directory), ["c"])
      const file = yield* disk.open(`${directory}/c`, { access: "read" })
      assert.equal(words(yield* file.read(0, 9)), "a")
      yield* file.close
      assert.equal(yield* reasonOf(disk.unlink(`${directory}/b`)), "NotFound")
      assert.equal(yield* reasonOf(disk.rename(`${directory}/b`, `${directory}/d`)), "NotFound")
      assert.equal(yield* reasonOf(disk.list(`${directory}/none`)), "NotFound")
    })
  },
  {
    name: "an open file can be read after it was unlinked",
    run: Effect.fnUntraced(function*({ directory, disk }) {
      const file = yield* disk.open(`${directory}/a`, { access: "write", create: "new" })
      yield* file.write(0, [text("still here")])
      yield* disk.unlink(`${directory}/a`)
      assert.equal(words(yield* file.read(0, 100)), "still here")
      yield* file.close
    })
  },
  {
    name: "makeDirectory makes the parents too, and again does nothing",
    run: Effect.fnUntraced(function*({ directory, disk }) {
      yield* disk.makeDirectory(`${directory}/x/y/z`)
      yield* disk.makeDirectory(`${directory}/x/y/z`)
      assert.deepEqual(yield* disk.list(`${directory}/x/y`), ["z"])
      assert.deepEqual(yield* disk.list(`${directory}/x/y/z`), [])
    })
  },
  {
    name: "a directory is renamed and removed with all that is in it, and removing nothing is no error",
    run: Effect.fnUntraced(function*({ directory, disk }) {
      yield* disk.makeDirectory(`${directory}/x/y`)
      const file = yield* disk.open(`${directory}/x/y/a`, { access: "write", create: "new" })
      yield* file.write(0, [text("moved")])
      yield* file.close
      yield* disk.rename(`${directory}/x`, `${directory}/z`)
      assert.deepEqual(yield* disk.list(directory), ["z"])
      const moved = yield* disk.open(`${directory}/z/y/a`, { access: "read" })
      assert.equal(words(yield* moved.read(0, 9)), "moved")
      yield* moved.close
      yield* disk.makeDirectory(`${directory}/x`)
      yield* Effect.flatMap(disk.open(`${directory}/x/b`, { access: "write", create: "new" }), (file) => file.close)
      assert.notEqual(yield* reasonOf(disk.rename(`${directory}/z`, `${directory}/x`)), "Success")
      yield* disk.remove(`${directory}/z`)
      yield* disk.remove(`${directory}/z`)
      yield* disk.remove(`${directory}/x/b`)
      assert.deepEqual(yield* disk.list(directory), ["x"])
      assert.deepEqual(yield* disk.list(`${directory}/x`), [])
      assert.equal(yield* reasonOf(disk.list(`${directory}/z/y`)), "NotFound")
    })
  },
  {
    name: "a lock keeps everyone else out until its scope closes",
    run: Effect.fnUntraced(function*({ directory, disk }) {
      const path = `${directory}/LOCK`
      yield* Effect.scoped(Effect.gen(function*() {
        yield* disk.lock(path)
        assert.equal(yield* reasonOf(disk.lock(path)), "Locked")
        assert.equal(yield* reasonOf(disk.lock(path)), "Locked")
      }))
      assert.equal(yield* reasonOf(disk.lock(path)), "Success")
    })
  }
]
