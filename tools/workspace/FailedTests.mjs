/**
 * Names the failed tests once more after everything else: the projects are tested side by side, and what a test printed is pages above the
 * end. A reporter of vitest collects a few lines per failure, and `npm test` prints them last.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { root } from "./install.mjs"

const messageCharactersMax = 400

export default class FailedTests {
  #path

  constructor({ path }) {
    this.#path = path
  }

  onTestRunEnd(modules, unhandledErrors) {
    const lines = []
    for (const module of modules) {
      const file = relative(root, module.moduleId)
      for (const error of module.errors()) lines.push(line(file, error))
      for (const suite of module.children.allSuites()) {
        for (const error of suite.errors()) lines.push(line(`${file}: ${suite.fullName}`, error))
      }
      for (const test of module.children.allTests("failed")) {
        lines.push(line(`${file}: ${test.fullName}`, test.result().errors[0]))
      }
    }
    for (const error of unhandledErrors) lines.push(line(relative(root, process.cwd()), error))
    if (lines.length === 0) return
    mkdirSync(dirname(this.#path), { recursive: true })
    appendFileSync(this.#path, lines.join(""))
  }
}

const line = (where, error) => {
  const message = String(error?.message ?? error).replaceAll(/\s+/g, " ").slice(0, messageCharactersMax)
  const frame = error?.stacks?.[0]
  const at = frame === undefined ? "" : `\n    at ${relative(root, frame.file)}:${frame.line}`
  return `  ${where}\n    ${message}${at}\n`
}

/** Where the tests of this workspace leave their failures. */
export const failedTestsPath = join(root, ".nx", "vitest", "failed-tests.txt")

export const forget = () => rmSync(failedTestsPath, { force: true })

/** What failed since `forget`, or undefined. */
export const failures = () =>
  existsSync(failedTestsPath) ? `Failed tests:\n${readFileSync(failedTestsPath, "utf8")}` : undefined
