/** What a user of the simulator puts under it: the examples of the README prove themselves, and broken parts are found. */
import { LogStore, SnapshotStore, StateMachine, Transport, VolatileStateMachine } from "@dkv/raft"
import { MemoryLog, MemorySnapshot } from "@dkv/storage"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Stream } from "effect"
import * as StateMachineContract from "../src/contract/StateMachineContract.ts"
import { Run, Stack } from "../src/simulator/index.ts"
import { counter, load } from "./examples/Counter.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

/** The first failure within some seeds. */
const failure = <Services>(stack: Stack.Stack<Services>, seeds = 20): string | undefined => {
  for (let seed = 1; seed <= seeds; seed++) {
    const found = Run.run(seed, { stack }).failure
    if (found !== undefined) return found
  }
  return undefined
}

describe("the counter of the README", () => {
  for (const { name, run } of StateMachineContract.cases) {
    it.effect(name, () => {
      let medium = MemorySnapshot.makeMedium()
      const open = (medium: () => MemorySnapshot.Medium) =>
        Effect.map(
          Layer.build(
            Layer.fresh(VolatileStateMachine.layer).pipe(
              Layer.provide(Layer.fresh(counter)),
              Layer.provide(Layer.sync(SnapshotStore.SnapshotStore, () => MemorySnapshot.makeOf(medium())))
            )
          ),
          (context) => Context.get(context, StateMachine.StateMachine)
        )
      return run({
        open: open(() => medium),
        openOther: open(MemorySnapshot.makeMedium),
        crash: Effect.sync(() => void (medium = { ...medium })),
        command: (n) => bytes(String(n)),
        nonsense: [bytes("ten"), Uint8Array.of(255)]
      })
    })
  }
})

describe("a part of one's own under the simulator", () => {
  const stack = { ...Stack.kv, state: Stack.volatile(counter), load }

  it("a sound one has nothing wrong", () => {
    assert.isUndefined(failure(stack, 4))
  })

  it("a state machine that forgets what a snapshot held is found", () => {
    const forgetful = Layer.effect(
      VolatileStateMachine.VolatileStateMachine,
      Effect.map(Effect.service(VolatileStateMachine.VolatileStateMachine), (machine) => ({
        ...machine,
        restore: (chunks: Stream.Stream<Uint8Array, StateMachine.StateMachineError>) =>
          machine.restore(Stream.take(chunks, 0))
      }))
    ).pipe(Layer.provide(counter))
    assert.match(
      failure({ ...stack, state: Stack.volatile(forgetful) }) ?? "",
      /state machine safety: .* answers entry/
    )
  })

  it("a log that forgets its last write on restart is found", () => {
    const log = (): Stack.Log => {
      const journal: Array<ReadonlyArray<LogStore.LogWrite>> = []
      const open = Effect.gen(function*() {
        const medium = MemoryLog.makeMedium()
        journal.pop()
        yield* MemoryLog.makeOf(medium).write(journal.flat())
        const log = MemoryLog.makeOf(medium)
        return {
          ...log,
          write: (changes: ReadonlyArray<LogStore.LogWrite>) =>
            Effect.map(log.write(changes), () => void journal.push(changes)),
          compact: () => log.compact(0)
        }
      })
      return { ...Stack.durable, layer: Layer.effect(LogStore.LogStore, open) }
    }
    assert.match(failure({ ...Stack.kv, log }) ?? "", /survive/)
  })

  it("members that hold something different in the end are found", () => {
    const state: typeof Stack.kv.state = (place) => ({
      ...Stack.kv.state(place),
      contents: () => Effect.succeed(place.id)
    })
    assert.match(failure({ ...Stack.kv, state }) ?? "", /^members that applied the same hold the same/)
  })

  it("a transport may do with frames what it likes on their way, and the rules still look at what raft said", () => {
    let carried = 0
    const transport: typeof Stack.kv.transport = ({ id, machine, network }) =>
      Layer.effect(
        Transport.Transport,
        Effect.map(Effect.service(Transport.Transport), (inner) => ({
          ...inner,
          sendUnsafe: (to, lane, chunks) => inner.sendUnsafe(to, lane, [Uint8Array.of(255), ...chunks]),
          serve: (handlers) =>
            inner.serve({
              ...handlers,
              onFrame: (from, lane, frame) => {
                assert.strictEqual(frame[0], 255)
                carried++
                handlers.onFrame(from, lane, frame.subarray(1))
              }
            })
        }))
      ).pipe(Layer.provide(network.layer(id, machine)))
    let acknowledgements = 0
    for (let seed = 1; seed <= 3; seed++) {
      const { failure, looks } = Run.run(seed, { stack: { ...Stack.kv, transport } })
      assert.isUndefined(failure)
      // a rule about what stands in frames
      acknowledgements += looks.get("an acknowledgement follows its sync")!
    }
    assert.isAbove(carried, 1000)
    assert.isAbove(acknowledgements, 1000)
  })
})
