#!/usr/bin/env node
/**
 * `dkv` as a command, on any Node from 20: hands over to the pinned Node 24, which runs the TypeScript sources. Where this Node can replace
 * itself (22.15 and newer) no second process stays behind; elsewhere signals and the exit code are passed through.
 */
import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import { constants } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

// The log, RocksDB and name lookups wait in the same pool, whose size is fixed before the process starts.
// Each of those threads would take a malloc arena of its own.
const env = { UV_THREADPOOL_SIZE: "8", MALLOC_ARENA_MAX: "2", ...process.env }
const major = Number(process.versions.node.split(".")[0])

const pinned = () => {
  try {
    return join(dirname(createRequire(import.meta.url).resolve("node/package.json")), "bin", "node")
  } catch {
    return undefined
  }
}

const node = pinned() ?? (major >= 24 ? process.execPath : undefined)
if (node === undefined) {
  console.error(`dkv needs Node 24 and this is ${process.version}: run \`npm install\` in the clone, which brings one`)
  process.exit(1)
}
// Left alone, V8 lets the young generation grow beyond 100 MB under load and the old one to four times what is in use: twice the memory, and no faster.
// And it learns while a member starts, when everything is kept, to put what lives for milliseconds among what is old.
// Its helpers take the processor from other members and clients on a small machine, and heaps of this size give them little to do.
const v8 = [
  "--v8-pool-size=1",
  "--max-semi-space-size=8",
  "--heap-growing-percent=100",
  "--no-allocation-site-pretenuring"
]
const args = [...v8, main, ...process.argv.slice(2)]

if (typeof process.execve === "function" && process.platform !== "win32") process.execve(node, [node, ...args], env)

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"]) {
  // A terminal sends Ctrl-C to the whole foreground group: the child has it already.
  process.on(signal, () => (signal === "SIGINT" && process.stdin.isTTY === true ? undefined : child.kill(signal)))
}
const child = spawn(node, args, { env, stdio: "inherit" })
child.on("error", (error) => {
  console.error(`${node}: ${error.message}`)
  process.exit(1)
})
child.on("close", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
