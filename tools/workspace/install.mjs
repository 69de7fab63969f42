/**
 * Installs the packages of the lock file when they are missing or belong to another one. What is installed is recorded in a stamp inside
 * node_modules that is written last, so an install that was cut off is repeated.
 */
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
export const bin = join(root, "node_modules", ".bin")

const modules = join(root, "node_modules")
const stamp = join(modules, ".dkv-installed")
const lock = join(root, "package-lock.json")

/** Installs if needed, with progress on stderr. False when it failed; the reason has then been printed. */
export const install = async () => {
  if (!existsSync(lock)) {
    console.error(`${lock} is missing: restore it with \`git checkout package-lock.json\``)
    return false
  }
  const wanted = fingerprint()
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return true
  if (!(await runInstall())) return false
  // npm links the commands of the workspace's own packages only when it first meets the packages.
  if (!["dkv", "dkvctl"].every((name) => existsSync(join(bin, name)))) {
    spawnSync("npm", ["rebuild", "--ignore-scripts", "@dkv/node", "@dkv/ctl"], {
      cwd: root,
      stdio: "ignore",
      shell: process.platform === "win32"
    })
  }
  const node = spawnSync(join(bin, "node"), ["--version"], { encoding: "utf8" })
  const expected = `v${JSON.parse(readFileSync(lock, "utf8")).packages["node_modules/node"].version}`
  if (node.status !== 0 || node.stdout.trim() !== expected) {
    console.error(
      `the npm package "node" did not install Node ${expected}: allow its install script with \`npm rebuild node --ignore-scripts=false\` and try again`
    )
    return false
  }
  writeFileSync(stamp, wanted)
  return true
}

/** The lock file, the machine it was resolved for, and the workspace folders that npm links. */
const fingerprint = () => {
  const hash = createHash("sha256")
  hash.update(`${process.platform} ${process.arch}\n`)
  hash.update(readFileSync(lock))
  for (const folder of ["apps", "libs", "tools"]) {
    for (const name of readdirSync(join(root, folder)).sort()) {
      const file = join(root, folder, name, "package.json")
      if (existsSync(file)) hash.update(readFileSync(file))
    }
  }
  return hash.digest("hex")
}

const runInstall = () =>
  new Promise((resolve) => {
    const total = Object.keys(JSON.parse(readFileSync(lock, "utf8")).packages).length
    const started = performance.now()
    // `npm ci` refuses a lock file that lacks other platforms' optional packages; this honours the lock file and leaves it alone.
    const npm = spawn("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      shell: process.platform === "win32"
    })
    let output = ""
    npm.stdout.on("data", (data) => (output += data))
    npm.stderr.on("data", (data) => (output += data))
    const interactive = process.stderr.isTTY === true
    const report = () => {
      const seconds = Math.round((performance.now() - started) / 1000)
      const line = `installing packages: ${countPackages()} of about ${total}, ${seconds} s`
      process.stderr.write(interactive ? `\r\x1b[K${line}` : `${line}\n`)
    }
    report()
    const ticker = setInterval(report, interactive ? 500 : 5000)
    const finish = (ok, reason) => {
      clearInterval(ticker)
      const seconds = Math.round((performance.now() - started) / 1000)
      if (interactive) process.stderr.write("\r\x1b[K")
      process.stderr.write(ok ? `installed packages in ${seconds} s\n` : `${output}\nnpm install failed: ${reason}\n`)
      resolve(ok)
    }
    npm.on("error", (error) => finish(false, `${error.message}: is npm on the PATH?`))
    npm.on("close", (code, signal) =>
      code === 0
        ? finish(true)
        : finish(false, signal === null ? `exit code ${code}, see above` : `stopped by ${signal}`))
  })

const countPackages = () => {
  if (!existsSync(modules)) return 0
  let count = 0
  for (const name of readdirSync(modules)) {
    if (name.startsWith("@")) count += readdirSync(join(modules, name)).length
    else if (!name.startsWith(".")) count++
  }
  return count
}
