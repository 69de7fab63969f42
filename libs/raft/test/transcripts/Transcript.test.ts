/** What a transcript may say, and what is wrong with those that may not. */
import { assert, describe, it } from "vitest"
import { check, isUpdate, run, title } from "./Transcript.ts"

const lines = (...lines: ReadonlyArray<string>) => [...lines, ""].join("\n")

const two = ["# two voters", "", "cluster voters=1,2 leader=1", "----", "", "isolate 2", "----", "ok", ""]

/** The error of a transcript that goes on behind `two` with `command`, on line 10. */
const refused = (command: string): string => {
  try {
    run("a.txt", lines(...two, command, "----", "ok"))
  } catch (error) {
    return (error as Error).message
  }
  return "nothing was wrong"
}

describe("a transcript", () => {
  it("is left as it is when its commands lead to what is written", () => {
    const text = run("a.txt", lines(...two))
    assert.strictEqual(check("a.txt", text), text)
  })

  it("comes back with what its commands lead to, and with everything else as it was", () => {
    const text = lines(...two, "# Why.", "propose 1 x", "----", "nonsense", "", "# The end.")
    const right = [
      "at 1500 ms",
      "1 proposal 1",
      "  write #3 3 [x@2]",
      "  send 2 Append term=2 2@2 [x@2] commit=2"
    ]
    assert.deepStrictEqual(check("a.txt", run("a.txt", lines(...two))).split("\n").slice(4, 6), [
      "1 Leader term=2 vote=1 leader=1 log=[C@1 N@2] durable=2 commit=2 applied=2",
      "2 Follower term=2 vote=1 leader=1 log=[C@1 N@2] durable=2 commit=2 applied=2"
    ])
    assert.deepStrictEqual(run("a.txt", text).split("\n").slice(11), [
      "# Why.",
      "propose 1 x",
      "----",
      ...right,
      "",
      "# The end.",
      ""
    ])
  })

  it("says ok where nothing happens", () => {
    assert.include(run("a.txt", lines(...two)), "isolate 2\n----\nok\n")
  })

  it("shows milestones only where it is to be quiet", () => {
    const text = run("a.txt", lines(...two, "rejoin 2", "propose 1 x", "quiet stabilize", "----"))
    assert.deepStrictEqual(text.split("\n").slice(-3), ["1 commit 3", "2 commit 3", ""])
  })

  it("is called what its first line says, and has to say it", () => {
    assert.strictEqual(title("a.txt", lines(...two)), "two voters")
    assert.throws(() => title("a.txt", lines(...two.slice(1))), /^a.txt:1: a transcript begins with a comment/)
  })

  it("has a trace for every block, unless it is being rewritten", () => {
    const text = lines(...two, "rejoin 2", "----")
    assert.throws(() => check("a.txt", text), /^a.txt:4: no trace is expected here/)
    assert.throws(() => check("a.txt", run("a.txt", lines(...two)) + text.slice(lines(...two).length)), /^a.txt:13: no/)
    assert.doesNotThrow(() => run("a.txt", text))
  })

  it("has commands and traces in turn", () => {
    assert.throws(() => run("a.txt", lines(...two, "rejoin 2")), /^a.txt:10: ---- is missing behind this command/)
    assert.throws(() => run("a.txt", lines(...two, "rejoin 2", "", "isolate 1", "----")), /^a.txt:10: ---- is missing/)
    assert.throws(() => run("a.txt", lines(...two, "----", "ok")), /^a.txt:10: no command leads to this/)
    assert.throws(() => run("a.txt", lines("# nothing")), /^a.txt:1: a transcript without commands/)
  })

  it("names file and line of a command that there is not, and those that there are", () => {
    assert.match(
      refused("explode 1"),
      /^a.txt:10: unknown command "explode"; there are cluster, given, timeout, .*config$/
    )
    assert.match(refused("quiet"), /^a.txt:10: unknown command ""/)
    assert.match(refused("toString"), /^a.txt:10: unknown command "toString"/)
  })

  it("names file and line of a wrong argument, and how the command is used", () => {
    assert.match(refused("timeout"), /^a.txt:10: a member is missing \(timeout 1: /)
    assert.match(refused("timeout one"), /^a.txt:10: a member is a number, not "one"/)
    assert.match(refused("timeout 3"), /^a.txt:10: there is no member 3/)
    assert.match(refused("crash 2\npropose 2 x"), /^a.txt:11: member 2 is down \(propose 1 x y: /)
    assert.match(refused("timeout 2 1"), /^a.txt:10: "1" means nothing here/)
    assert.match(refused("timeout 1"), /^a.txt:10: a leader has no election timer/)
    assert.match(refused("beat 2"), /^a.txt:10: only a leader has a heartbeat timer/)
    assert.match(refused("pass soon"), /^a.txt:10: milliseconds is a number, not "soon"/)
    assert.match(refused("cut 12"), /^a.txt:10: a link such as 1>2 is missing/)
    assert.match(refused("deliver 1>3"), /^a.txt:10: there is no member 3/)
    assert.match(refused("deliver 1>2 Appendix"), /^a.txt:10: no message is called "Appendix"/)
    assert.match(refused("deliver 1>2 Append"), /^a.txt:10: nothing of that kind is on the wire/)
    assert.match(refused("sync 1"), /^a.txt:10: there is nothing to sync/)
    assert.match(refused("read 1 x"), /^a.txt:10: a read is a number, not "x"/)
    assert.match(refused("cluster voters=1"), /^a.txt:10: a transcript has one cluster/)
    assert.match(refused("rejoin 1"), /^a.txt:10: that member is not isolated/)
    assert.throws(() => run("a.txt", lines("# a", "sync 1", "----")), /^a.txt:2: a transcript begins with a cluster/)
    assert.throws(() => run("a.txt", lines("# a", "cluster votes=1", "----")), /^a.txt:2: voters are missing \(cluster/)
    assert.throws(() => run("a.txt", lines("# a", "cluster voters=1 x", "----")), /^a.txt:2: "x" means nothing here/)
  })

  it("cannot expect what violates the safety of Raft: a leader that lacks what is committed", () => {
    const losses = [2, 3].flatMap((number) => [`crash ${number}`, `lose ${number} 3`, `restart ${number}`])
    const commands = ["propose 1 x", "stabilize", "isolate 1", ...losses, "elect 2"]
    assert.throws(
      () => run("a.txt", lines("# amnesia", "cluster voters=1,2,3 leader=1", ...commands, "----")),
      /^a.txt:12: 2 leads without the committed entry 3/
    )
  })

  it("cannot expect what violates the safety of Raft: two leaders in a term", () => {
    const commands = ["isolate 3", "elect 1", "isolate 1", "given 2 x@1 term=1", "rejoin 3", "elect 2"]
    assert.throws(
      () => run("a.txt", lines("# a forgotten vote", "cluster voters=1,2,3", ...commands, "----")),
      /^a.txt:8: 1 and 2 both lead term 2/
    )
  })

  it("is rewritten only where UPDATE_TRANSCRIPTS says so, and never where CI is set", () => {
    assert.isFalse(isUpdate({}))
    assert.isFalse(isUpdate({ CI: "true" }))
    assert.isTrue(isUpdate({ UPDATE_TRANSCRIPTS: "1" }))
    assert.throws(() => isUpdate({ UPDATE_TRANSCRIPTS: "1", CI: "true" }), /never where CI is set/)
  })
})
