/** A member that has not heard a leader for too long and asks whether it could win an election. Alive meanwhile: the election timer. */
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
