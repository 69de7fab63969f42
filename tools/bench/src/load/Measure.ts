/** One measurement of a load: warm up, watch for a while, let the last calls end. */
import { Effect, Fiber } from "effect"
import { performance } from "node:perf_hooks"
import { countedMillis, drainMillis } from "../Limits.ts"
import * as Processes from "../Processes.ts"
import type { Driver } from "./Driver.ts"
import { DriverError } from "./Driver.ts"
import { Meter } from "./Meter.ts"
import type { Command, Measurement } from "./Protocol.ts"

const known = (value: number): number | null => Number.isNaN(value) ? null : value

/** Runs one command. Fails when any call fails, or when the last ones are not answered in time. */
export const measure = Effect.fnUntraced(function*(driver: Driver, command: Command) {
  const { callers, connections, operation, pids } = command
  const meter = new Meter(command.callsMax)
  const load = yield* driver.run({ operation, callers, connections, meter }).pipe(
    Effect.scoped,
    Effect.forkChild({ startImmediately: true })
  )
  const broken = Fiber.join(load)
  if (command.warmupMillis > 0) yield* Effect.sleep(command.warmupMillis).pipe(Effect.raceFirst(broken))

  const cpuBefore = pids.map((pid) => Processes.usage(pid).cpuSeconds)
  const machineBefore = Processes.machineBusySeconds()
  const ownBefore = process.cpuUsage()
  const begin = performance.now()
  meter.measuring = true
  yield* Effect.sleep(command.measureMillis).pipe(Effect.raceFirst(broken))
  meter.measuring = false
  const seconds = (performance.now() - begin) / 1000
  const own = process.cpuUsage(ownBefore)
  const cpuSeconds = pids.map((pid, index) => Processes.usage(pid).cpuSeconds - cpuBefore[index]!)
  const generatorCpuSeconds = (own.user + own.system) / 1e6
  const otherCpuSeconds = cpuSeconds.reduce(
    (rest, cpu) => rest - cpu,
    Processes.machineBusySeconds() - machineBefore - generatorCpuSeconds
  )

  if (command.callsMax === undefined) meter.running = false
  const patienceMillis = command.callsMax === undefined ? drainMillis : countedMillis
  yield* broken.pipe(Effect.timeoutOrElse({
    duration: patienceMillis,
    orElse: () =>
      Effect.fail(new DriverError({ message: `${meter.outstanding} calls were not answered in ${patienceMillis} ms` }))
  }))
  const { histogram } = meter
  return {
    calls: histogram.count,
    answered: meter.answered,
    seconds,
    perSecond: histogram.count / seconds,
    p50Millis: known(histogram.percentile(0.5)),
    p99Millis: known(histogram.percentile(0.99)),
    p999Millis: known(histogram.percentile(0.999)),
    maxMillis: histogram.maxMillis,
    generatorCpuSeconds,
    cpuSeconds: cpuSeconds.map(known),
    otherCpuSeconds: known(Math.max(0, otherCpuSeconds))
  } satisfies Measurement
})
