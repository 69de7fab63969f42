/** The load on etcd through our own framer: a client that costs next to nothing, so that the machine is etcd's alone. */
import type { Driver } from "./Driver.ts"
import * as EtcdMessages from "./EtcdMessages.ts"
import { Connection } from "./Http2.ts"
import * as RawSockets from "./RawSockets.ts"

/** A driver for the members whose client ports are `endpoints` (`host:port`). Each run makes its connections anew. */
export const make = (endpoints: ReadonlyArray<string>): Driver => ({
  run: ({ callers, connections, meter, operation }) =>
    RawSockets.run({
      addresses: Array.from(
        { length: Math.min(callers, endpoints.length * connections) },
        (_, index) => endpoints[index % endpoints.length]!
      ),
      callers,
      meter,
      wire: (address, events) => new Connection({ ...EtcdMessages.template(operation), authority: address, ...events })
    })
})
