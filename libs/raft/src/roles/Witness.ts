/** A member that keeps no data: it votes, acknowledges, and never stands for election. Alive meanwhile: a timer that notices a silent leader. */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { RoleName } from "../core/Core.ts"
import type { Member } from "../Member.ts"
import { serve } from "../Serve.ts"
import * as Timer from "./Timer.ts"

export const run = (member: Member): Effect.Effect<RoleName, never, Scope.Scope> =>
  Timer.run(member, () => member.core.electionDeadline, { _tag: "ElectionTimer" }).pipe(
    Effect.forkScoped,
    Effect.andThen(serve(member))
  )
