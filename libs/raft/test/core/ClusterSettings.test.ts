/** What all members go by: part of the configuration in the log. */
import { assert, describe, it } from "vitest"
import * as ClusterSettings from "../../src/core/ClusterSettings.ts"
import type { Change } from "../../src/core/Input.ts"
import { idOf } from "../support/Cluster.ts"
import { join, Script } from "../support/Script.ts"

const three = () => new Script({ voters: [1, 2, 3], spares: [4] })

const configure = (settings: Partial<ClusterSettings.Settings>): Change => ({ _tag: "Configure", settings })

describe("settings of the cluster", () => {
  it("a cluster is founded with the defaults: no leases, and a warning about voters that are silent for ten minutes", () => {
    const script = three()
    assert.deepStrictEqual(script.core(1).configuration.settings, {
      leaderLeases: false,
      deadMembers: "warn",
      deadMemberMillis: 600_000
    })
  })

  it("a change of settings takes one step, reaches every member, and leaves what it does not name as it was", () => {
    const script = three()
    script.elect(1)
    const id = script.change(1, configure({ leaderLeases: true }))
    assert.deepStrictEqual(script.core(1).configuration.outgoing, [])
    script.pass(200)
    assert.strictEqual(script.outcome(1, id), "done")
    for (const number of [1, 2, 3]) {
      const { settings } = script.core(number).configuration
      assert.deepStrictEqual(settings, { ...ClusterSettings.defaults, leaderLeases: true })
    }
  })

  it("settings outlive a change of voters, in both of its steps", () => {
    const script = three()
    script.elect(1)
    script.change(1, configure({ deadMembers: "off" }))
    script.pass(200)
    script.change(1, join(4, { autoPromote: true }))
    script.pass(3000)
    assert.deepStrictEqual(script.core(4).configuration.voters, [1, 2, 3, 4].map(idOf))
    const kept = script.node(1).entries.flatMap(({ configuration }) => configuration?.settings.deadMembers ?? [])
    assert.deepStrictEqual(kept, ["warn", "off", "off", "off", "off"])
  })

  it("a member is dead after ten election timeouts at the earliest", () => {
    const script = three()
    script.elect(1)
    for (const deadMemberMillis of [9999, -1, 0.5, NaN, Infinity]) {
      for (const number of [1, 2]) {
        assert.strictEqual(script.outcome(number, script.change(number, configure({ deadMemberMillis }))), "Invalid")
      }
    }
    const id = script.change(1, configure({ deadMemberMillis: 10_000 }))
    script.run()
    assert.strictEqual(script.outcome(1, id), "done")
  })

  it("settings that are so already are no change", () => {
    const script = three()
    script.elect(1)
    assert.strictEqual(script.outcome(1, script.change(1, configure(ClusterSettings.defaults))), "done")
    assert.strictEqual(script.core(1).configurationIndex, 1)
  })

  it("another priority takes one step, leaves the addresses, and fits into 32 bits", () => {
    const script = three()
    script.elect(1)
    const { clientAddress, peerAddress } = script.core(1).configuration.members[2]!
    const update = (priority: number): Change => ({ _tag: "Update", id: idOf(3), peerAddress, clientAddress, priority })
    for (const priority of [0.5, NaN, 2 ** 31]) {
      assert.strictEqual(script.outcome(1, script.change(1, update(priority))), "Invalid")
      assert.strictEqual(script.outcome(1, script.change(1, join(4, { priority }))), "Invalid")
    }
    script.change(1, update(-7))
    assert.deepStrictEqual(script.core(1).configuration.outgoing, [])
    script.run()
    const { priority, ...rest } = script.core(2).configuration.members[2]!
    assert.deepStrictEqual([priority, rest.peerAddress, rest.clientAddress], [-7, peerAddress, clientAddress])
    script.change(1, { _tag: "Update", id: idOf(3), peerAddress: "elsewhere:2380", clientAddress })
    script.run()
    assert.strictEqual(script.core(2).configuration.members[2]!.priority, -7)
  })
})
