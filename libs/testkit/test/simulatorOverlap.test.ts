import { Configuration } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Overlap } from "../src/simulator/index.ts"

const of = (voters: string, outgoing = ""): Configuration.Configuration => ({
  ...Configuration.empty,
  voters: [...voters],
  outgoing: [...outgoing]
})

describe("quorums of two configurations", () => {
  for (const [one, other] of [[of("abc"), of("abc")], [of("abc"), of("abcd")], [of("abcd"), of("bcd")]] as const) {
    it(`overlap from ${one.voters.join("")} to ${other.voters.join("")}`, () => {
      assert.isTrue(Overlap.haveOverlap(one, other))
      assert.isTrue(Overlap.haveOverlap(other, one))
    })
  }

  it("miss each other where one voter takes the place of another, or two come", () => {
    assert.isFalse(Overlap.haveOverlap(of("abc"), of("abd")))
    assert.isFalse(Overlap.haveOverlap(of("abc"), of("abcde")))
    assert.isFalse(Overlap.haveOverlap(of("abcde"), of("abc")))
  })

  it("overlap on the way through a joint configuration", () => {
    for (const [before, after] of [["abc", "abd"], ["abc", "abcde"], ["a", "bcd"]] as const) {
      assert.isTrue(Overlap.haveOverlap(of(before), of(after, before)))
      assert.isTrue(Overlap.haveOverlap(of(after, before), of(after)))
    }
  })
})
