/**
 * Stands in for `dkv` in the tests of the runner: listens on its client port, answers each connection with its status as one line of JSON, and
 * ends on SIGTERM unless a file named `stubborn` lies in its data directory.
 */
import { existsSync, mkdirSync } from "node:fs"
import { createServer } from "node:net"

const flag = (name) => {
  const index = process.argv.findIndex((argument) => argument === `--${name}` || argument.startsWith(`--${name}=`))
  const argument = process.argv[index]
  return argument.includes("=") ? argument.slice(argument.indexOf("=") + 1) : process.argv[index + 1]
}

const name = flag("name")
const dataDir = flag("data-dir")
const voters = flag("initial-cluster").split(",").length
mkdirSync(dataDir, { recursive: true })
process.on("SIGTERM", () => {
  if (existsSync(`${dataDir}/stubborn`)) return
  console.log(`${name} ends`)
  process.exit(0)
})
console.log(`${name} begins`)

const status = { role: name === "dkv-0" ? "Leader" : "Follower", term: 1, leader: "dkv-0", voters }
createServer((socket) => socket.end(`${JSON.stringify(status)}\n`)).listen(
  Number(flag("listen-client-address").split(":")[1]),
  "127.0.0.1"
)
