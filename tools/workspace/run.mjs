/** Runs one command of the workspace with the pinned Node first on the PATH. */
import { spawn } from "node:child_process"
import { constants } from "node:os"
import { delimiter, join } from "node:path"
import { bin } from "./install.mjs"

/**
 * The exit code of the command; a signal is 128 plus its number, as in a shell. With `replace`, and where this Node can, the command takes
 * the place of this process, so that nothing stands between it and the signals sent to it.
 */
export const run = (command, args, { cwd, replace }) => {
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` }
  const executable = join(bin, command)
  if (replace && typeof process.execve === "function" && process.platform !== "win32") {
    process.chdir(cwd)
    process.execve(executable, [executable, ...args], env)
  }
  return new Promise((resolve) => {
    // A terminal sends Ctrl-C to the whole foreground group: the child has it already.
    const forward = (signal) => {
      if (signal !== "SIGINT" || process.stdin.isTTY !== true) child.kill(signal)
    }
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, forward)
    const child = spawn(executable, args, { cwd, env, stdio: "inherit", shell: process.platform === "win32" })
    child.on("error", (error) => {
      console.error(`${executable}: ${error.message}`)
      resolve(1)
    })
    child.on("close", (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)))
  })
}
