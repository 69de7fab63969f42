import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import * as Board from "../src/Board.ts"
import * as Plan from "../src/Plan.ts"
import * as Screen from "../src/Screen.ts"

const plan = Plan.make({ nodes: 3, dataDir: "/data", clientPort: 3000, peerPort: 2380 }) as Plan.Plan

const status = (role: string, change: Partial<Board.MemberStatus> = {}): Board.MemberStatus => ({
  role,
  term: 4,
  leader: "dkv-0",
  voters: 3,
  ...change
})

const row = (index: number, member: Board.MemberStatus | undefined, phase: Board.Phase = "up"): Board.Row => ({
  member: plan.members[index]!,
  phase,
  pid: phase === "down" ? Option.none() : Option.some(1000 + index),
  status: Option.fromUndefinedOr(member),
  note: phase === "down" ? "process 1001 was ended by SIGKILL; next start in 0.5 s" : ""
})

describe("Screen", () => {
  it("the table shows name, addresses, process, role and term, and the reason beside a member that is down", () => {
    assert.deepStrictEqual(
      Screen.table([row(0, status("Leader")), row(1, undefined, "down"), row(2, undefined)]),
      [
        "NAME   CLIENT          PEER            PID   ROLE       TERM",
        "dkv-0  127.0.0.1:3000  127.0.0.1:2380  1000  Leader     4",
        "dkv-1  127.0.0.1:3001  127.0.0.1:2381  -     down       -     process 1001 was ended by SIGKILL; next start in 0.5 s",
        "dkv-2  127.0.0.1:3002  127.0.0.1:2382  1002  no answer  -"
      ]
    )
  })

  it("the cluster is ready when all members are voters and know one leader", () => {
    const ready = [row(0, status("Leader")), row(1, status("Follower")), row(2, status("Follower"))]
    assert.isTrue(Board.isReady(ready))
    assert.isFalse(Board.isReady([ready[0]!, ready[1]!, row(2, status("Learner"))]))
    assert.isFalse(Board.isReady([ready[0]!, ready[1]!, row(2, status("Follower", { leader: "" }))]))
    assert.isFalse(Board.isReady([ready[0]!, ready[1]!, row(2, status("Follower", { voters: 0 }))]))
    assert.isFalse(Board.isReady([ready[0]!, ready[1]!, row(2, undefined)]))
    assert.isFalse(Board.isReady([row(0, status("Follower")), ready[1]!, ready[2]!]))
    assert.isFalse(Board.isReady([ready[0]!, ready[1]!, row(2, status("Follower"), "stopping")]))
  })
})
