/** Whether this member leads: told to clients, which then bring their writes to the one that does. A server that replicates nothing leads. */
import { Context, Stream } from "effect"

/** At once, and again whenever another member becomes leader, even if that is not this one either. */
export const Leadership = Context.Reference<Stream.Stream<boolean>>("@dkv/server/Leadership", {
  defaultValue: () => Stream.make(true)
})
