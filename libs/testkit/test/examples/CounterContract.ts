import { StateMachine, VolatileStateMachine } from "@dkv/raft"
import { MemorySnapshot } from "@dkv/storage"
import { StateMachineContract } from "@dkv/testkit"
import { Context, Effect, Layer, Stream } from "effect"

const bytes = (text: string) => new TextEncoder().encode(text)
const number = (bytes: Uint8Array | undefined) => Number(new TextDecoder().decode(bytes))

const counter = Layer.sync(VolatileStateMachine.VolatileStateMachine, () => {
  let sum = 0 // each command adds to it, and answers it
  return {
    apply: (commands) => Effect.sync(() => commands.map(({ data }) => bytes(String(sum += number(data) || 0)))),
    capture: Effect.sync(() => Stream.make(bytes(String(sum)))),
    restore: (chunks) => Effect.map(Stream.runCollect(chunks), ([stored]) => void (sum = number(stored)))
  }
})

const machine = Layer.provide(VolatileStateMachine.layer, counter)
const open = (medium: () => MemorySnapshot.Medium) =>
  Effect.suspend(() => Layer.build(Layer.fresh(Layer.provide(machine, MemorySnapshot.layerOf(medium()))))).pipe(
    Effect.map((built) => Context.get(built, StateMachine.StateMachine))
  )
const proofs = Effect.forEach(StateMachineContract.cases, ({ run }) => {
  let medium = MemorySnapshot.makeMedium() // outlives the machine; a crash leaves nothing else
  const crash = Effect.sync(() => void (medium = { ...medium }))
  const subject = { open: open(() => medium), openOther: open(MemorySnapshot.makeMedium), crash }
  return Effect.scoped(run({ ...subject, command: (n) => bytes(String(n)), nonsense: [bytes("ten")] }))
})
console.log(`${(await Effect.runPromise(proofs)).length} rules kept`) // => 11 rules kept
