/** The tables that lead from a rule or a historic bug to its test name files, tests and planted bugs that there are. */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"

const libraries = Path.join(import.meta.dirname, "..", "..")

/** The rows below a heading, without the head of the table, as their cells. */
const rowsOf = (readme: string, heading: string, columns: number): ReadonlyArray<ReadonlyArray<string>> => {
  const text = Fs.readFileSync(Path.join(libraries, readme), "utf8")
  const section = text.slice(text.indexOf(`\n## ${heading}\n`)).split(/\n## /)[1]!
  return section.split("\n")
    .filter((line) => /^\| \d/.test(line))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()))
    .filter((cells) => cells.length === columns)
}

const unquoted = (cell: string): string => cell.replaceAll("`", "")

/** Tests that run, by what stands before their names. */
const tests = /\bit(?:\.effect|\.live)?\(\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)/g

/** Whether a test of this name runs in the file; what a name takes from its case may be anything. */
const isTest = (file: string, name: string): boolean => {
  const source = Fs.readFileSync(Path.join(libraries, `${file}.test.ts`), "utf8")
  if (/\bdescribe\.(?:skip|todo)\b/.test(source)) return false
  const literals = [...source.matchAll(tests)]
  return literals.some(([, plain, template]) => plain === name || (template !== undefined && fits(template, name)))
}

const fits = (template: string, name: string): boolean => {
  const parts = template.split(/\$\{[^}]*\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
  return new RegExp(`^${parts.join(".+")}$`).test(name)
}

const numbersIn = (rows: ReadonlyArray<ReadonlyArray<string>>) => [...new Set(rows.map(([number]) => Number(number)))]

describe("tables", () => {
  it("of the rules that are easily missed has all of them, and each row names a test that there is", () => {
    const rows = rowsOf("raft/README.md", "Rules that are easily missed", 4)
    assert.deepStrictEqual(numbersIn(rows), Array.from({ length: 22 }, (_, at) => at + 1))
    for (const [, , file, name] of rows) assert.isTrue(isTest(unquoted(file!), name!), `${file}: ${name}`)
  })

  it("of historic bugs names tests that there are", () => {
    const rows = rowsOf("testkit/README.md", "Historic bugs", 5)
    assert.includeMembers(
      numbersIn(rows),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 17, 19, 20, 27, 28, 29, 33, 34, 35]
    )
    for (const [, , file, name] of rows) assert.isTrue(isTest(unquoted(file!), name!), `${file}: ${name}`)
  })

  it("of planted bugs names those that are planted", () => {
    const planted = Fs.readFileSync(Path.join(libraries, "../tools/simulator/src/Planted.ts"), "utf8")
    const rows = rowsOf("testkit/README.md", "Historic bugs", 3)
    assert.deepStrictEqual(numbersIn(rows), [23, 24, 25, 26])
    for (const [, , names] of rows) {
      for (const name of names!.split("; ").map(unquoted)) assert.include(planted, `name: "${name}"`)
    }
  })
})
