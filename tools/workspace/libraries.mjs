/** System libraries that the native packages need and that no npm package brings. */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { bin, root } from "./install.mjs"

const packages = {
  "libatomic.so.1": "Debian, Ubuntu: sudo apt-get install libatomic1; Fedora: sudo dnf install libatomic"
}

/** One line that says what to install, or undefined when RocksDB loads. */
export const systemLibraries = () => {
  const probe = spawnSync(join(bin, "node"), ["--eval", "require('rocksdb-native')"], {
    cwd: join(root, "libs", "storage"),
    encoding: "utf8"
  })
  return probe.status === 0 ? undefined : advice(probe.stderr || String(probe.error))
}

/** `text` is what the loader said. */
export const advice = (text) => {
  const missing = /(lib[\w.+-]+\.so[\w.]*): cannot open shared object file/.exec(text)?.[1]
  if (missing !== undefined) {
    const how = packages[missing] ?? "install the package that contains it"
    return `RocksDB needs the system library ${missing}, which this machine lacks (${how}); then run the command again`
  }
  const reason = text.split("\n").find((line) => /Error/.test(line))?.trim() ?? "no reason given"
  return `RocksDB does not load on this machine (${reason}): supported are Linux with glibc 2.34 or newer and macOS, on x64 or arm64`
}
