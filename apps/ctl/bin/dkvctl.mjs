#!/usr/bin/env node
/**
 * `dkvctl` as a command, on any Node from 20: hands over to the pinned Node 24, which runs the TypeScript sources. Where this Node can replace
 * itself (22.15 and newer) no second process stays behind; elsewhere signals and the exit code are passed through.
 */
import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import { constants } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))
const env = process.env
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
  console.error(
    `dkvctl needs Node 24 and this is ${process.version}: run \`npm install\` in the clone, which brings one`
  )
  process.exit(1)
}
const args = [main, ...process.argv.slice(2)]

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
