/**
 * One process of the ceiling: what a put costs a cluster at the very least. No consensus, no safety, no Effect: a TCP hop in, a
 * synced append on the leader beside the same on two followers, an answer when two of the three have it, and the key in RocksDB. Everything is batched.
 *
 * `node member.ts DIRECTORY PORT [FOLLOWER_PORT...]`; with followers it leads. It prints `ready` and ends with its standard input.
 */
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Zlib from "node:zlib"
import RocksDB from "rocksdb-native"
import { keyBytes } from "../Limits.ts"
import * as Frames from "./Frames.ts"

const [directory = ".", port = "0", ...followers] = process.argv.slice(2)

const stop = (message: string): never => {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

Fs.mkdirSync(directory, { recursive: true })
const log = Fs.openSync(Path.join(directory, "log"), "w")
const storage = new RocksDB(Path.join(directory, "db"), { createIfMissing: true })
await storage.ready()

/** Appends and syncs one batch at a time; what comes meanwhile makes the next. */
const makeLog = () => {
  let waiting: Array<{ readonly bytes: Buffer; readonly onDurable: () => void }> = []
  let writing = false
  const pump = (): void => {
    if (writing || waiting.length === 0) return
    writing = true
    const batch = waiting
    waiting = []
    const bytes = batch.length === 1 ? batch[0]!.bytes : Buffer.concat(batch.map((append) => append.bytes))
    Zlib.crc32(bytes)
    Fs.write(log, bytes, 0, bytes.length, null, (writeError, written) => {
      if (writeError !== null || written !== bytes.length) return stop(`write: ${writeError?.message ?? "short"}`)
      Fs.fdatasync(log, (syncError) => {
        if (syncError !== null) return stop(`fdatasync: ${syncError.message}`)
        writing = false
        for (const append of batch) append.onDurable()
        pump()
      })
    })
  }
  return (bytes: Buffer, onDurable: () => void): void => {
    waiting.push({ bytes, onDurable })
    pump()
  }
}

/** Puts what is committed into RocksDB, one batch at a time. A put is its frame without the length: slot, key, value. */
const makeApplier = () => {
  let waiting: Array<Buffer> = []
  let applying = false
  const pump = async (): Promise<void> => {
    while (waiting.length > 0) {
      const puts = waiting
      waiting = []
      const batch = storage.write({ capacity: puts.length })
      try {
        for (const put of puts) batch.tryPut(put.subarray(4, 4 + keyBytes), put.subarray(4 + keyBytes))
        await batch.flush()
      } finally {
        batch.destroy()
      }
    }
    applying = false
  }
  return (puts: ReadonlyArray<Buffer>): void => {
    for (const put of puts) waiting.push(put)
    if (applying) return
    applying = true
    pump().catch((cause: unknown) => stop(`apply: ${String(cause)}`))
  }
}

const append = makeLog()
const apply = makeApplier()

const follow = (socket: Net.Socket): void => {
  socket.on(
    "data",
    Frames.reader((batches) => {
      append(batches.length === 1 ? batches[0]! : Buffer.concat(batches), () => {
        const answer = Buffer.allocUnsafe(4)
        answer.writeUInt32LE(batches[batches.length - 1]!.readUInt32LE(0))
        socket.write(answer)
        for (const batch of batches) Frames.reader(apply, stop)(batch.subarray(4))
      })
    }, stop)
  )
}

interface Pending {
  readonly sequence: number
  readonly groups: ReadonlyArray<{ readonly socket: Net.Socket; readonly puts: ReadonlyArray<Buffer> }>
}

const lead = (): (socket: Net.Socket) => void => {
  const durable = new Array<number>(followers.length + 1).fill(0)
  const majorityAt = followers.length + 1 - (((followers.length + 1) >> 1) + 1)
  let pending: Array<Pending> = []
  let committed = 0
  let sequence = 0
  let groups: Array<Pending["groups"][number]> = []

  const advance = (): void => {
    const majority = [...durable].sort((a, b) => a - b)[majorityAt]!
    if (majority <= committed) return
    committed = majority
    let count = 0
    while (count < pending.length && pending[count]!.sequence <= committed) count += 1
    const done = pending.slice(0, count)
    pending = pending.slice(count)
    for (const batch of done) {
      for (const group of batch.groups) {
        apply(group.puts)
        const answer = Buffer.allocUnsafe(group.puts.length * 4)
        group.puts.forEach((put, index) => put.copy(answer, index * 4, 0, 4))
        group.socket.write(answer)
      }
    }
  }

  const links = followers.map((follower, index) => {
    const link = Net.connect({ host: "127.0.0.1", port: Number(follower), noDelay: true })
    link.on(
      "data",
      Frames.answers((value) => {
        durable[index + 1] = value
      }, advance)
    )
    link.on("error", (cause) => stop(`follower ${follower}: ${cause.message}`))
    return link
  })

  const replicate = (): void => {
    const taken = groups
    groups = []
    sequence += 1
    const current = sequence
    const parts: Array<Buffer> = []
    let length = 4
    for (const group of taken) {
      for (const put of group.puts) {
        const head = Buffer.allocUnsafe(4)
        head.writeUInt32LE(put.length)
        parts.push(head, put)
        length += 4 + put.length
      }
    }
    const head = Buffer.allocUnsafe(8)
    head.writeUInt32LE(length)
    head.writeUInt32LE(current, 4)
    const bytes = Buffer.concat([head, ...parts], length + 4)
    for (const link of links) link.write(bytes)
    pending.push({ sequence: current, groups: taken })
    append(bytes, () => {
      durable[0] = current
      advance()
    })
  }

  return (socket) => {
    socket.on(
      "data",
      Frames.reader((puts) => {
        groups.push({ socket, puts })
        if (groups.length === 1) setImmediate(replicate)
      }, stop)
    )
  }
}

const accept = followers.length === 0 ? follow : lead()

Net.createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => socket.destroy())
  accept(socket)
}).listen(Number(port), "127.0.0.1", () => process.stdout.write("ready\n"))

process.stdin.on("end", () => process.exit(0)).resume()
