import { assert, describe, it } from "vitest"
import * as History from "../src/linearizability/History.ts"
import * as KvCheck from "../src/linearizability/KvCheck.ts"
import { describe as words, type Input, type Output } from "../src/linearizability/KvModel.ts"
import * as Picture from "../src/linearizability/Picture.ts"
import { found, get, kv, op, put, range, wrote } from "./linearizabilityParts.ts"

const violation = (...steps: ReadonlyArray<History.Interval<Input, Output>>): KvCheck.Violation => {
  const verdict = KvCheck.check(History.fromIntervals(steps))
  if (verdict._tag !== "Violation") throw new Error(verdict._tag)
  return verdict.violations[0]!
}

const stale = violation(
  op("alice", 0, 10, put("x", "v1"), wrote(2)),
  op("alice", 20, 45, put("x", "v2"), wrote(3)),
  op("bob", 5, 50, put("x", "v<3>")),
  op("bob", 60, 70, get("x"), found(3, kv("x", "v2", 2, 3, 2))),
  op("carol", 80, 90, get("x"), found(3, kv("x", "v1", 2)))
)

const many = violation(
  ...Array.from({ length: 100 }, (_, at) => op("alice", 2 * at, 2 * at + 1, put("x", `v${at}`), wrote(at + 2))),
  op("bob", 100, 101, get("x"), found(52, kv("x", "nobody's", 2, 52, 51)))
)

describe("a picture of a history", () => {
  it("has a row per client and lane, the linearization numbered, and what could not come next crossed", () => {
    assert.equal(
      Picture.text(stale, { describe: words }),
      `no order explains what was answered about x

millis  0                   20                  60                           80
alice   [1. put x=v1 → @2══][2. put x=v2 → @3══]
bob      [put x=v<3> → ?~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
bob                                             [3. get x → x=v2(2/3/2) @3══]
carol                                                                        [✗ get x → x=v1(2/2/1) @3!!]

longest partial linearization:
  1. #0 alice: put x=v1 → @2, called at 0 ms, returned at 10 ms
  2. #2 alice: put x=v2 → @3, called at 20 ms, returned at 45 ms
  3. #3 bob: get x → x=v2(2/3/2) @3, called at 60 ms, returned at 70 ms
cannot come next:
  ✗ #4 carol: get x → x=v1(2/2/1) @3, called at 80 ms, returned at 90 ms
`
    )
  })

  it("overlaps two intervals if and only if the operations overlapped", () => {
    const picture = Picture.text(
      violation(
        op("a", 0, 4, put("x", "v1"), wrote(2)),
        op("b", 1, 2, get("x"), found(1)),
        op("c", 3, 9, get("x"), found(7))
      ),
      { describe: words }
    )
    const row = (client: string) => picture.split("\n").find((line) => line.startsWith(client))!
    assert.isBelow(row("c").indexOf("["), row("a").indexOf("]"))
    assert.isAbove(row("c").indexOf("["), row("b").indexOf("]"))
  })

  it("shows of a long history what is around the blocked operations, and says how much it leaves out", () => {
    const picture = Picture.text(many, { describe: words, operationsMax: 10 })
    assert.include(picture, "(91 operations are not shown)")
    assert.include(picture, "✗ get x → x=nobody's")
    assert.equal(picture.split("put x=v50 ").length > 1, true)
    assert.notInclude(picture, "put x=v0 ")
    assert.notInclude(picture, "put x=v99 ")
  })

  it("as SVG is one well-formed document that refers to nothing else, with a box per operation", () => {
    const document = Picture.svg(stale, { describe: words })
    assert.match(document, /^<svg xmlns="[^"]*" [^]*<\/svg>\n$/)
    assert.equal(document.split("<g>").length - 1, 5)
    assert.equal(document.split("stroke-dasharray").length - 1, 1)
    assert.equal(document.split("#b3261e").length - 1, 1)
    assert.include(document, "v&lt;3&gt;")
    assert.notMatch(document, /v<3>|href|url\(/)
    const tags = Array.from(document.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>/g))
    const open: Array<string> = []
    for (const [, closes, name, empty] of tags) {
      if (closes === "/") assert.equal(open.pop(), name)
      else if (empty === "") open.push(name!)
    }
    assert.deepEqual(open, [])
  })

  it("passes no control character of a value to the terminal or into XML", () => {
    const nasty = violation(
      op("a", 0, 1, put("x", "\u001b[31m\u0000\ud800"), wrote(7)),
      op("b", 2, 3, range("\n"), found(1))
    )
    for (const picture of [Picture.text(nasty, { describe: words }), Picture.svg(nasty, { describe: words })]) {
      // oxlint-disable-next-line no-control-regex -- it is what must not be there
      assert.notMatch(picture.replaceAll("\n", ""), /[\u0000-\u001f\ud800-\udfff]/)
      assert.notInclude(picture, "range \n")
    }
  })
})
