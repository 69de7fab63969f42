/** `Dkv.layer` on this machine's disk and sockets: what the program `dkv` runs, for programs that want a durable member within themselves. */
import { Layer } from "effect"
import * as Dkv from "./Dkv.ts"
import * as MemberId from "./MemberId.ts"
import * as NodeParts from "./NodeParts.ts"

export type Options = Dkv.Options & NodeParts.Options

/** See `Dkv.layer`. Ids come from the operating system's randomness. */
export const layer = (options: Options): Layer.Layer<Dkv.Services, Dkv.DkvError | NodeParts.NodePartsError> =>
  Dkv.layer(options, NodeParts.make(options)).pipe(Layer.provide(MemberId.layerSecure))
