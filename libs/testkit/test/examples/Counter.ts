import { RaftNode, VolatileStateMachine } from "@dkv/raft"
import { ModelLoad, Run, Stack } from "@dkv/testkit/simulator"
import { Context, Effect, Layer, Option, Stream } from "effect"

const bytes = (sum: number) => new TextEncoder().encode(String(sum))
const number = (bytes: Uint8Array | undefined) => Number(new TextDecoder().decode(bytes))

export const counter = Layer.sync(VolatileStateMachine.VolatileStateMachine, () => {
  let sum = 0 // each command adds to it, and answers it
  return {
    apply: (commands) => Effect.sync(() => commands.map(({ data }) => bytes(sum += number(data) || 0))),
    capture: Effect.sync(() => Stream.make(bytes(sum))),
    restore: (chunks) => Effect.map(Stream.runCollect(chunks), ([stored]) => void (sum = number(stored)))
  }
})

export const load = ModelLoad.make({
  draw: (prng) => prng.below(10),
  carryOut: (member, add: number) =>
    Effect.map(Context.get(member, RaftNode.RaftNode).propose([bytes(add)]), ([sum]) => number(sum)),
  model: {
    initial: 0,
    step: (sum, add, said) => Option.isNone(said) || said.value === sum + add ? [sum + add] : [],
    keyOf: String
  }
})

const stack = { ...Stack.kv, state: Stack.volatile(counter), load }
console.log(Run.run(1, { stack }).failure ?? "nothing wrong") // => nothing wrong
