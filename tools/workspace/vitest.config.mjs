/** What `nx test` gives to vitest. Limits are far above any expected time: a slow machine is no failure. */
import { fileURLToPath } from "node:url"
import FailedTests, { failedTestsPath } from "./FailedTests.mjs"

export default {
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    reporters: ["default", new FailedTests({ path: failedTestsPath })]
  },
  cacheDir: fileURLToPath(new URL("../../.nx/vitest", import.meta.url))
}
