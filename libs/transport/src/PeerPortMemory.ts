/** The peer port on a `MemoryNetwork`: all of the real one, down to bytes and frames, inside one process. */
import { Transport } from "@dkv/raft"
import { Effect, Layer } from "effect"
import { crc32c } from "./Checksum.ts"
import { MemoryNetwork } from "./MemoryNetwork.ts"
import * as MemorySocket from "./MemorySocket.ts"
import * as PeerPort from "./PeerPort.ts"

/** Listens at `address`, any string, which is also where its own connections come from. Fails with `TransportError` if the address is taken. */
export const layer = (
  options: { readonly address: string } & Pick<PeerPort.Options, "versions">
): Layer.Layer<PeerPort.PeerPort, Transport.TransportError, MemoryNetwork> =>
  Layer.effect(
    PeerPort.PeerPort,
    Effect.gen(function*() {
      const network = yield* MemoryNetwork
      const server = yield* MemorySocket.listen(network, options.address)
      if (server === undefined) {
        return yield* new Transport.TransportError({ message: `Peer address ${options.address} is taken` })
      }
      return yield* PeerPort.make({
        addresses: [options.address],
        servers: [server],
        dial: (to) => MemorySocket.dial(network, options.address, to),
        checksum: crc32c,
        ...(options.versions !== undefined && { versions: options.versions })
      })
    })
  )
