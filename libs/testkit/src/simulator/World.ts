/**
 * Time and processors of a simulation: a queue of runnable tasks, a heap of timers, and machines that fibers run on. One thread, nothing of the host's: what runs
 * next is drawn from the seed, and time moves only when nothing is runnable. A run is the same bit for bit each time.
 *
 * A machine can be paused (its tasks and timers wait, as under SIGSTOP) and killed (its fibers never go on, and no finalizer runs, as under SIGKILL).
 *
 * Source: FoundationDB's simulator and TigerBeetle's VOPR, on Effect's `Scheduler`, `Clock` and `Random`.
 */
import { Clock, Context, Duration, Effect, Logger, Random, Scheduler } from "effect"
import type { Fiber } from "effect"
import { Prng } from "./Prng.ts"

interface Timer {
  readonly at: number
  readonly sequence: number
  readonly machine: Machine | undefined
  task: (() => void) | undefined
}

interface Task {
  readonly run: () => void
  readonly machine: Machine | undefined
}

/** A fiber gives way after so many operations, as under Effect's own scheduler. */
const operationsMax = 2048

export class World {
  /** Milliseconds since the beginning. */
  now = 0
  /** Tasks run so far. */
  steps = 0
  /** Depends on everything that happened, and when. */
  hash = 0x811c9dc5
  /** For whoever simulates the surroundings: networks, disks, faults. */
  readonly prng: Prng
  private readonly order: Prng | undefined
  private readonly runnable: Array<Task> = []
  private head = 0
  private readonly timers: Array<Timer> = []
  private sequence = 0

  /** With `shuffle`, any runnable task may be next, whatever came first. */
  constructor(seed: number, options: { readonly shuffle: boolean }) {
    this.prng = new Prng(seed)
    const order = this.prng.fork()
    this.order = options.shuffle ? order : undefined
  }

  /** A machine of its own; its clock runs at `rate` and its wall clock is `wallMillis` ahead. */
  machine(options: MachineOptions = {}): Machine {
    return new Machine(this, this.prng.fork(), options)
  }

  /** Runs `task` after so many milliseconds, on a machine or in the surroundings. Returns how to take it back. */
  after(millis: number, task: () => void, machine?: Machine): () => void {
    const timer: Timer = { at: this.now + Math.max(0, millis), sequence: this.sequence++, machine, task }
    this.push(timer)
    return () => {
      timer.task = undefined
    }
  }

  /** Takes note of something that happened. */
  mix(value: number): void {
    this.hash = Math.imul(this.hash ^ (value | 0), 0x01000193) >>> 0
  }

  /** Makes a task runnable now. */
  schedule(run: () => void, machine?: Machine): void {
    this.runnable.push({ run, machine })
  }

  /** Runs everything that can run now, then moves to the next timer. False when nothing will ever happen again. */
  step(): boolean {
    this.drain()
    while (true) {
      const timer = this.pop()
      if (timer === undefined) return false
      if (timer.task === undefined || timer.machine?.isDead === true) continue
      this.now = Math.max(this.now, timer.at)
      this.mix(this.now * 1000)
      this.mix(timer.sequence)
      this.run({ run: timer.task, machine: timer.machine })
      this.drain()
      return true
    }
  }

  private run(task: Task): void {
    const { machine } = task
    if (machine !== undefined) {
      if (machine.isDead) return
      if (machine.isPaused) return void machine.waiting.push(task.run)
    }
    this.steps++
    if (machine !== undefined) machine.steps++
    task.run()
  }

  private drain(): void {
    const { order, runnable } = this
    while (this.head < runnable.length) {
      if (order !== undefined) {
        const chosen = this.head + order.below(runnable.length - this.head)
        const first = runnable[this.head]!
        runnable[this.head] = runnable[chosen]!
        runnable[chosen] = first
      }
      this.run(runnable[this.head++]!)
    }
    runnable.length = 0
    this.head = 0
  }

  private push(timer: Timer): void {
    const { timers } = this
    let at = timers.length
    timers.push(timer)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(timers[parent]!, timer)) break
      timers[at] = timers[parent]!
      at = parent
    }
    timers[at] = timer
  }

  private pop(): Timer | undefined {
    const { timers } = this
    const first = timers[0]
    const last = timers.pop()
    if (first === undefined || last === undefined || first === last) return first
    let at = 0
    while (true) {
      let child = 2 * at + 1
      if (child >= timers.length) break
      if (child + 1 < timers.length && isBefore(timers[child + 1]!, timers[child]!)) child++
      if (isBefore(last, timers[child]!)) break
      timers[at] = timers[child]!
      at = child
    }
    timers[at] = last
    return first
  }
}

const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.sequence < b.sequence)

export interface MachineOptions {
  /** How fast its clock runs; default 1. */
  readonly rate?: number
  /** How far its wall clock is ahead of the world's time. */
  readonly wallMillis?: number
  /** Gets what is logged here; it goes nowhere by default. */
  readonly onLog?: (message: string) => void
}

/** One boot of a computer, or of a process. Mutable; owned by its world. */
export class Machine {
  isDead = false
  isPaused = false
  /** When it went on after its last pause. */
  resumedAt = -Infinity
  /** Tasks run here so far: as long as it stays the same, nothing has changed here. */
  steps = 0
  /** What became runnable during a pause. */
  waiting: Array<() => void> = []
  /** Scheduler, clock and randomness of whatever runs here. */
  readonly context: Context.Context<never>
  private readonly world: World
  private readonly rate: number
  private wallMillis: number

  constructor(world: World, prng: Prng, options: MachineOptions) {
    this.world = world
    this.rate = options.rate ?? 1
    this.wallMillis = options.wallMillis ?? 0
    const { onLog } = options
    const loggers = onLog === undefined ? [] : [Logger.make(({ message }) => onLog(String(message)))]
    const dispatcher: Scheduler.SchedulerDispatcher = {
      scheduleTask: (task) => world.schedule(task, this),
      flush: () => {}
    }
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: (fiber) => fiber.currentOpCount >= operationsMax,
      makeDispatcher: () => dispatcher
    }
    this.context = Context.empty().pipe(
      Context.add(Scheduler.Scheduler, scheduler),
      Context.add(Clock.Clock, this.clock()),
      Context.add(Random.Random, prng.service),
      Context.add(Logger.CurrentLoggers, new Set(loggers))
    )
  }

  /** Starts a fiber here. */
  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return Effect.runForkWith(this.context)(effect)
  }

  /** False if it stood still already. */
  pause(): boolean {
    const wasPaused = this.isPaused
    this.isPaused = true
    return !wasPaused
  }

  /** Goes on; what waited runs now, and finds that time has passed. */
  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    this.resumedAt = this.world.now
    const { waiting } = this
    this.waiting = []
    for (const run of waiting) this.world.schedule(run, this)
  }

  kill(): void {
    this.isDead = true
    this.waiting = []
  }

  /** Sets the wall clock forward, or back. The monotonic one goes on as before. */
  jump(millis: number): void {
    this.wallMillis += millis
  }

  private clock(): Clock.Clock {
    const local = () => this.world.now * this.rate
    const wall = () => Math.floor(local() + this.wallMillis)
    const nanos = (millis: number) => BigInt(Math.round(millis * 1e6))
    return {
      currentTimeMillisUnsafe: wall,
      currentTimeMillis: Effect.sync(wall),
      currentTimeNanosUnsafe: () => nanos(wall()),
      currentTimeNanos: Effect.sync(() => nanos(wall())),
      monotonicTimeNanosUnsafe: () => nanos(local()),
      monotonicTimeNanos: Effect.sync(() => nanos(local())),
      sleep: (duration) => {
        const millis = Duration.toMillis(duration)
        if (!Number.isFinite(millis)) return Effect.never
        return Effect.callback<void>((resume) =>
          Effect.sync(this.world.after(millis / this.rate, () => resume(Effect.void), this))
        )
      }
    }
  }
}
