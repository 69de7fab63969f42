/**
 * Scenarios as text, in the manner of etcd-raft's `testdata`: commands, `----`, what they lead to, and comments that say why. A person reviews the protocol by
 * reading them, and the test by comparing what happens now with what is written.
 *
 * A file is comments (`#`), blank lines and blocks. A block is commands, one a line, then `----`, then the trace that they lead to, which is never empty (`ok` if
 * nothing happens) and ends with a blank line. `quiet` before a command leaves out causes, messages and writes. The first comment says what the file shows.
 * `Commands` lists the commands, `Trace` the lines, `Notation` how they are written.
 *
 * Whatever a file expects, the scenario has to keep the safety properties of figure 3 of the Raft paper.
 */
import { Arguments } from "./Arguments.ts"
import { commands } from "./Commands.ts"
import { Safety } from "./Safety.ts"
import * as Scene from "./Scene.ts"

interface Block {
  readonly commands: ReadonlyArray<{ readonly text: string; readonly line: number }>
  /** The expected trace is the lines from `from` up to, and without, `to`; 0-based. */
  readonly from: number
  readonly to: number
}

const separator = "----"

/** Whether transcripts are to be rewritten, from the environment. */
export const isUpdate = (environment: { readonly [name: string]: string | undefined }): boolean => {
  if (environment["UPDATE_TRANSCRIPTS"] !== "1") return false
  if (environment["CI"]) throw new Error("UPDATE_TRANSCRIPTS=1 rewrites transcripts: never where CI is set")
  return true
}

/** The first comment of the file. */
export const title = (path: string, text: string): string => {
  const [first] = text.split("\n")
  if (!first!.startsWith("# ")) throw new Error(`${path}:1: a transcript begins with a comment that says what it shows`)
  return first!.slice(2)
}

/** The text as it would have to be for its commands; the same text if it is right. */
export const run = (path: string, text: string): string => {
  const lines = text.split("\n")
  const played: Array<string> = []
  const stage = new Stage()
  let copied = 0
  for (const block of blocks(path, lines)) {
    played.push(...lines.slice(copied, block.from))
    const before = played.length
    for (const { line, text } of block.commands) at(path, line, () => played.push(...stage.play(text)))
    if (played.length === before) played.push("ok")
    copied = block.to
  }
  return [...played, ...lines.slice(copied)].join("\n")
}

/** `run`, for a text that has to have its traces already. */
export const check = (path: string, text: string): string => {
  for (const { from, to } of blocks(path, text.split("\n"))) {
    if (from === to) throw new Error(`${path}:${from}: no trace is expected here; UPDATE_TRANSCRIPTS=1 writes it`)
  }
  return run(path, text)
}

const blocks = (path: string, lines: ReadonlyArray<string>): ReadonlyArray<Block> => {
  const found: Array<Block> = []
  let commands: Array<{ readonly text: string; readonly line: number }> = []
  for (let place = 0; place < lines.length; place++) {
    const text = lines[place]!.trim()
    if (text === separator) {
      if (commands.length === 0) throw new Error(`${path}:${place + 1}: no command leads to this`)
      const from = place + 1
      place = from
      while (place < lines.length && lines[place]!.trim() !== "") place++
      found.push({ commands, from, to: place })
      commands = []
    } else if (text !== "" && !text.startsWith("#")) commands.push({ text, line: place + 1 })
    else if (text === "" && commands.length > 0) break
  }
  const [open] = commands
  if (open !== undefined) throw new Error(`${path}:${open.line}: ${separator} is missing behind this command`)
  if (found.length === 0) throw new Error(`${path}:1: a transcript without commands`)
  return found
}

/** Says where in the file something went wrong. */
const at = <A>(path: string, line: number, action: () => A): A => {
  try {
    return action()
  } catch (cause) {
    throw new Error(`${path}:${line}: ${(cause as Error).message}`, { cause })
  }
}

class Stage {
  private scene: Scene.Scene | undefined
  private safety: Safety | undefined

  /** Carries out one command and returns its trace. */
  play(text: string): ReadonlyArray<string> {
    const words = text.split(/\s+/)
    const quiet = words[0] === "quiet"
    const [name, ...rest] = quiet ? words.slice(1) : words
    const args = new Arguments(rest, this.scene?.script)
    if (name === "cluster") return this.begin(args)
    const { scene } = this
    if (scene === undefined) throw new Error("a transcript begins with a cluster")
    if (!Object.hasOwn(commands, name ?? "")) {
      throw new Error(`unknown command "${name ?? ""}"; there are ${["cluster", ...Object.keys(commands)].join(", ")}`)
    }
    const command = commands[name!]!
    scene.trace.quiet = quiet
    explained(command.usage, () => {
      command.run(scene, args)
      args.end()
    })
    this.safety!.check()
    return scene.trace.take()
  }

  private begin(args: Arguments): ReadonlyArray<string> {
    if (this.scene !== undefined) throw new Error("a transcript has one cluster")
    this.scene = explained(Scene.usage, () => Scene.begin(args))
    this.safety = new Safety(this.scene.script)
    return this.scene.trace.take()
  }
}

const explained = <A>(usage: string, action: () => A): A => {
  try {
    return action()
  } catch (cause) {
    throw new Error(`${(cause as Error).message} (${usage})`, { cause })
  }
}
