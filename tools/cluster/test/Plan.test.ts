import { assert, describe, it } from "@effect/vitest"
import * as Plan from "../src/Plan.ts"

const options: Plan.Options = { nodes: 3, dataDir: "/data", clientPort: 3000, peerPort: 2380 }

const planned = (change: Partial<Plan.Options> = {}): Plan.Plan => {
  const plan = Plan.make({ ...options, ...change })
  if (plan instanceof Plan.ClusterError) throw plan
  return plan
}

const refused = (change: Partial<Plan.Options>): string => {
  const plan = Plan.make({ ...options, ...change })
  return plan instanceof Plan.ClusterError ? plan.message : "accepted"
}

describe("Plan", () => {
  it("each member has the next port and a directory of its own", () => {
    const { members } = planned()
    assert.deepStrictEqual(members.map((member) => [member.name, member.clientPort, member.peerPort, member.dataDir]), [
      ["dkv-0", 3000, 2380, "/data/dkv-0"],
      ["dkv-1", 3001, 2381, "/data/dkv-1"],
      ["dkv-2", 3002, 2382, "/data/dkv-2"]
    ])
  })

  it("a member is started as a person would start it by hand", () => {
    const plan = planned()
    assert.deepStrictEqual(Plan.argumentsFor(plan, plan.members[1]!), [
      "--name",
      "dkv-1",
      "--initial-cluster=dkv-0=localhost:2380,dkv-1=localhost:2381,dkv-2=localhost:2382",
      "--initial-cluster-state=new",
      "--data-dir=/data/dkv-1",
      "--listen-peer-address=localhost:2381",
      "--listen-client-address=localhost:3001"
    ])
  })

  it("a number of members outside the limits is refused", () => {
    assert.match(refused({ nodes: 0 }), /--nodes is to be 1 to 7, not 0/)
    assert.match(refused({ nodes: 8 }), /--nodes is to be 1 to 7, not 8/)
  })

  it("ports beyond the last one are refused", () => {
    assert.match(refused({ clientPort: 65_534 }), /--client-port is to be 1 to 65533 for 3 members/)
    assert.match(refused({ peerPort: 0 }), /--peer-port is to be 1 to 65533/)
    assert.strictEqual(planned({ clientPort: 65_533 }).members[2]!.clientPort, 65_535)
  })

  it("client and peer ports that overlap are refused", () => {
    assert.match(refused({ clientPort: 2382 }), /client ports 2382-2384 and peer ports 2380-2382 overlap/)
    assert.strictEqual(refused({ clientPort: 2383 }), "accepted")
  })
})
