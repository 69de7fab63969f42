import { MemoryLog } from "@dkv/storage"
import { LogStoreContract } from "@dkv/testkit"
import { Effect } from "effect"

const proofs = Effect.forEach(LogStoreContract.cases, ({ name, run }) => {
  const medium = MemoryLog.makeMedium() // outlives the log, which each case closes and opens again
  const proof = run({ open: Effect.sync(() => MemoryLog.makeOf(medium)) })
  return Effect.as(Effect.scoped(proof), name) // a broken rule fails or dies here
})

const names = await Effect.runPromise(proofs)
console.log(names[0]) // => a new log is empty and has no term
