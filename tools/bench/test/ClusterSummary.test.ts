import { assert, describe, it } from "@effect/vitest"
import type { Operation } from "../src/load/Workload.ts"
import type { Sample, System } from "../src/rows/ClusterRow.ts"
import * as ClusterSummary from "../src/rows/ClusterSummary.ts"

const sample = (
  system: System,
  round: number,
  perSecond: number,
  callers = 100,
  operation: Operation = "put"
): Sample => ({
  system,
  operation,
  callers,
  connections: 1,
  round,
  measurement: {
    calls: perSecond,
    answered: perSecond,
    seconds: 1,
    perSecond,
    p50Millis: 1,
    p99Millis: 1000 / perSecond,
    p999Millis: 2,
    maxMillis: 3,
    generatorCpuSeconds: 0.1,
    cpuSeconds: [0.5, 0.25, 0.25],
    otherCpuSeconds: 0.75
  },
  peakRssBytes: [1024 * 1024, null, null]
})

describe("ClusterSummary", () => {
  it("compares dkv with another system only in the rounds that both finished", () => {
    const cells = ClusterSummary.cells([
      sample("dkv", 0, 20_000),
      sample("etcd", 0, 10_000),
      sample("dkv", 1, 60_000),
      sample("dkv", 2, 40_000),
      sample("etcd", 2, 10_000)
    ])
    const ratio = ClusterSummary.ratios(cells).find((one) => one.measure === "perSecond")
    assert.deepStrictEqual(ratio?.ratio.values, [2, 4])
  })

  it("compares the same operation at the same number of callers", () => {
    const cells = ClusterSummary.cells([
      sample("dkv", 0, 20_000, 100),
      sample("dkv", 0, 10_000, 100, "get"),
      sample("ceiling", 0, 40_000, 100),
      sample("ceiling", 0, 80_000, 1000)
    ])
    const ratios = ClusterSummary.ratios(cells).filter((one) => one.measure === "perSecond")
    assert.deepStrictEqual(ratios.map((one) => [one.operation, one.callers, one.ratio.median]), [["put", 100, 0.5]])
  })

  it("gives no ratio over etcd when its generator is at fault", () => {
    const cells = ClusterSummary.cells([
      sample("dkv", 0, 20_000),
      sample("etcd", 0, 4_999),
      sample("ceiling", 0, 50_000)
    ])
    assert.isTrue(ClusterSummary.etcdGeneratorAtFault(cells))
    assert.deepStrictEqual([...new Set(ClusterSummary.ratios(cells).map((one) => one.over))], ["ceiling"])
  })

  it("shows medians, processors and memory of each cell, and every remark", () => {
    const cells = ClusterSummary.cells([sample("etcd", 0, 10_000), sample("etcd", 1, 12_000)])
    const text = ClusterSummary.render({ _tag: "Cluster", cells, ratios: [], remarks: ["a remark"] })
    assert.include(text, "11 000 [10 000–12 000]")
    assert.include(text, "0.50 0.25 0.25")
    assert.include(text, "1 MiB")
    assert.include(text, "took 0.75 cores meanwhile")
    assert.include(text, "a remark")
  })
})
