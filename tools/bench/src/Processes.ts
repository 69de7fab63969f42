/** What processes use, as Linux counts it (proc(5)). Elsewhere nothing is known, and the figures are left out. */
import { Schema } from "effect"
import * as Fs from "node:fs"

export const Usage = Schema.Struct({
  /** User and system time since the process began. */
  cpuSeconds: Schema.Number,
  /** The most memory that was resident at once since the process began. */
  peakRssBytes: Schema.Number
})
export type Usage = typeof Usage.Type

/** Clock ticks per second as /proc counts them; fixed at 100 for programs on every Linux architecture in use. */
const ticksPerSecond = 100

const nothing: Usage = { cpuSeconds: Number.NaN, peakRssBytes: Number.NaN }

/** What the process has used so far; `NaN`s where there is no such process or no /proc. */
export const usage = (pid: number): Usage => {
  try {
    const stat = Fs.readFileSync(`/proc/${pid}/stat`, "latin1")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    const status = Fs.readFileSync(`/proc/${pid}/status`, "latin1")
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(status)
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
      peakRssBytes: peak === null ? Number.NaN : Number(peak[1]) * 1024
    }
  } catch {
    return nothing
  }
}

/** Time that all processors together have spent on something since the machine began, in seconds; `NaN` where there is no /proc. */
export const machineBusySeconds = (): number => {
  try {
    const [, ...fields] = Fs.readFileSync("/proc/stat", "latin1").split("\n", 1)[0]!.trim().split(/\s+/).map(Number)
    const [user = 0, nice = 0, system = 0, , , interrupts = 0, softInterrupts = 0, stolen = 0] = fields
    return (user + nice + system + interrupts + softInterrupts + stolen) / ticksPerSecond
  } catch {
    return Number.NaN
  }
}
