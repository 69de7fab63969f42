/**
 * Packs one built library for publishing.
 *
 *     node tools/workspace/src/pack.ts libs/raft    writes .nx/packages/dkv-raft-0.1.0.tgz
 */
import { basename, dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import * as Package from "./Package.ts"

const workspace = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))
const project = resolve(process.argv[2] ?? ".")
const packages = join(workspace, ".nx", "packages")
console.log(Package.pack(project, workspace, join(packages, basename(project)), packages))
