/** Every `.txt` file in a folder of this one is a test, named by its first line. The README of this library says how to rewrite them. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { assert, describe, it } from "vitest"
import { check, isUpdate, run, title } from "./Transcript.ts"

const update = isUpdate(process.env)
const folders = readdirSync(import.meta.dirname, { withFileTypes: true }).filter((entry) => entry.isDirectory())

for (const { name: folder } of folders) {
  describe(folder, () => {
    for (const file of readdirSync(join(import.meta.dirname, folder))) {
      const path = join(import.meta.dirname, folder, file)
      const shown = relative(process.cwd(), path)
      const text = readFileSync(path, "utf8")
      it(title(shown, text), () => {
        if (update) writeFileSync(path, run(shown, text))
        else assert.strictEqual(check(shown, text), text, shown)
      })
    }
  })
}
