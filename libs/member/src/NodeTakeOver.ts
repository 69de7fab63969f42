/** `TakeOver` on a data directory of this machine, for the command line. */
import type { LogStore, StateMachine } from "@dkv/raft"
import { DataDirectory } from "@dkv/storage"
import type { Disk } from "@dkv/storage"
import { NodeDisk } from "@dkv/storage/node"
import { Effect, Layer } from "effect"
import type { Scope } from "effect"
import * as MemberId from "./MemberId.ts"
import * as NodeParts from "./NodeParts.ts"
import * as TakeOver from "./TakeOver.ts"

export interface Found {
  readonly survivor: TakeOver.Survivor
  /** Makes it the only member of a new cluster, whose id this gives. */
  readonly takeOver: Effect.Effect<string, { readonly message: string }>
}

/**
 * Looks at the member in `dataDirectory`, which nobody else gets until the scope closes. Fails where the directory is in use, missing or not that of a member, and where
 * its member cannot go on alone; changes nothing but what a plain start would.
 */
export const open = Effect.fnUntraced(function*(dataDirectory: string): Effect.fn.Return<
  Found,
  | TakeOver.TakeOverError
  | NodeParts.NodePartsError
  | LogStore.LogStoreError
  | StateMachine.StateMachineError,
  Scope.Scope
> {
  yield* Effect.provide(mustExist(dataDirectory), NodeDisk.layer)
  const parts = NodeParts.dataOf({ dataDirectory })
  const context = yield* Layer.build(Layer.merge(parts.record, MemberId.layerSecure))
  const survivor = yield* Effect.provideContext(TakeOver.inspect(parts), context)
  return { survivor, takeOver: Effect.provideContext(TakeOver.run(parts, survivor), context) }
})

/** A mistyped path must not become a data directory. */
const mustExist = Effect.fnUntraced(function*(path: string): Effect.fn.Return<
  void,
  TakeOver.TakeOverError | Disk.DiskError,
  Disk.Disk
> {
  if (yield* DataDirectory.exists(path)) return
  return yield* new TakeOver.TakeOverError({ message: `${path} is not the data directory of a member` })
})
