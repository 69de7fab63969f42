import { Transport } from "@dkv/raft"
import { TransportContract } from "@dkv/testkit"
import { Run, Stack } from "@dkv/testkit/simulator"
import { Limits, MemoryNetwork, TransportMemory } from "@dkv/transport"
import { Context, Effect, Layer } from "effect"

const hide = (bytes: Uint8Array) => bytes.map((byte) => byte ^ 0x5a)

/** Another transport, on which nobody can read what is sent. */
const hidden = <E, R>(other: Layer.Layer<Transport.Transport, E, R>) =>
  Layer.effect(
    Transport.Transport,
    Effect.map(Transport.Transport, (inner): Transport.Transport["Service"] => ({
      ...inner,
      sendUnsafe: (to, lane, chunks) => inner.sendUnsafe(to, lane, chunks.map(hide)),
      serve: (to) => inner.serve({ ...to, onFrame: (from, lane, frame) => to.onFrame(from, lane, hide(frame)) })
    }))
  ).pipe(Layer.provide(other))

const network = await Effect.runPromise(Effect.scoped(Layer.build(MemoryNetwork.MemoryNetwork.layer)))
const member: TransportContract.Subject["member"] = ({ at: address = crypto.randomUUID(), clusterId, id: memberId }) =>
  Effect.map(Layer.build(hidden(TransportMemory.layer({ clusterId, memberId, address }))), (built) => (
    { address, transport: Context.get(built, Transport.Transport) }
  )).pipe(Effect.provideContext(network))
const subject = { member, tick: Effect.sleep(1), frameBytesMax: Limits.frameBytesMax }
await Effect.runPromise(Effect.forEach(TransportContract.cases, ({ run }) => Effect.scoped(run(subject))))

const transport: typeof Stack.kv.transport = ({ id, machine, network }) => hidden(network.layer(id, machine))
console.log(Run.run(1, { stack: { ...Stack.kv, transport } }).failure ?? "nothing wrong") // => nothing wrong
