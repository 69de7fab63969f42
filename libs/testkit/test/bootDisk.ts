/** A `MemoryDisk` as one run of a machine sees it: whoever outlived a crash in the test cannot touch what the next run does. */
import { Disk, MemoryDisk } from "@dkv/storage"
import { Effect } from "effect"

export const make = Effect.map(MemoryDisk.make, ({ disk, memory }) => {
  let boots = 0
  return {
    memory,
    /** The disk of the present run. */
    boot: (): Disk.Disk["Service"] => {
      const booted = boots
      const alive = <A, R>(effect: Effect.Effect<A, Disk.DiskError, R>) =>
        Effect.suspend(() =>
          booted === boots
            ? effect
            : Effect.fail(new Disk.DiskError({ reason: "Io", path: "", message: "the machine has stopped" }))
        )
      return {
        open: (path, options) => alive(disk.open(path, options)),
        rename: (from, to) => alive(disk.rename(from, to)),
        remove: (path) => alive(disk.remove(path)),
        unlink: (path) => alive(disk.unlink(path)),
        list: (directory) => alive(disk.list(directory)),
        makeDirectory: (directory) => alive(disk.makeDirectory(directory)),
        syncDirectory: (directory) => alive(disk.syncDirectory(directory)),
        lock: (path) => alive(disk.lock(path))
      }
    },
    crash: Effect.suspend(() => {
      memory.crash()
      boots++
      return memory.restart
    })
  }
})
