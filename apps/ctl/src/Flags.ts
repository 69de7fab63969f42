/** The flags that all commands share; each can be given as a `DKVCTL_*` variable instead. */
import { Config } from "effect"
import { Flag } from "effect/cli"
import { defaultEndpoint } from "./Settings.ts"

const describe = (description: string, variable: string) => `${description} [$${variable}]`

const file = (name: string, variable: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription(describe(description, variable)),
    Flag.withFallbackConfig(Config.String(variable)),
    Flag.optional
  )

const formats = ["simple", "json", "table"] as const

export const shared = {
  endpoint: Flag.String("endpoint").pipe(
    Flag.withMetavar("HOST:PORT"),
    Flag.withDescription(
      describe(
        `Client address of any member; repeat it, or separate by commas, to have others tried (default: ${defaultEndpoint})`,
        "DKVCTL_ENDPOINT"
      )
    ),
    Flag.atLeast(1),
    Flag.withFallbackConfig(Config.map(Config.String("DKVCTL_ENDPOINT"), (value) => [value])),
    Flag.withDefault([])
  ),
  cert: file("cert", "DKVCTL_CERT", "Client certificate"),
  key: file("key", "DKVCTL_KEY", "Key of that certificate"),
  cacert: file("cacert", "DKVCTL_CACERT", "CA that certifies the members"),
  writeOut: Flag.Literals("write-out", formats).pipe(
    Flag.withAlias("w"),
    Flag.withDescription(describe("How to print the answer (default: simple)", "DKVCTL_WRITE_OUT")),
    Flag.withFallbackConfig(Config.Literals(formats, "DKVCTL_WRITE_OUT")),
    Flag.withDefault("simple" as const)
  ),
  timeout: Flag.String("timeout").pipe(
    Flag.withMetavar("TIME"),
    Flag.withDescription(describe("Give up after this time: 500ms, 5s, 1m (default: 5s)", "DKVCTL_TIMEOUT")),
    Flag.withFallbackConfig(Config.String("DKVCTL_TIMEOUT")),
    Flag.withDefault("5s")
  )
}
