/** What the store as a whole remembers, in one row: layout version u8, revision u64, compacted revision u64. */
import { getUint64, putUint64 } from "./Bytes.ts"
import * as Layout from "./Layout.ts"

export interface StoreMeta {
  readonly layoutVersion: number
  /** Revision of the last change. An empty store has 1, as in etcd: the first change gets 2. */
  readonly revision: number
  /** Older revisions may be gone; 0 before the first compaction. */
  readonly compactedRevision: number
}

export const initial: StoreMeta = { layoutVersion: Layout.layoutVersion, revision: 1, compactedRevision: 0 }

/** The same store after changes up to `revision`. */
export const at = (meta: StoreMeta, revision: number): StoreMeta => ({
  layoutVersion: meta.layoutVersion,
  revision,
  compactedRevision: meta.compactedRevision
})

export const encode = (meta: StoreMeta): Uint8Array => {
  const bytes = new Uint8Array(17)
  bytes[0] = meta.layoutVersion
  putUint64(bytes, 1, meta.revision)
  putUint64(bytes, 9, meta.compactedRevision)
  return bytes
}

/** Undefined if the bytes are no such row; a newer layout comes back as far as its version. */
export const decode = (bytes: Uint8Array): StoreMeta | undefined => {
  const version = bytes[0]
  if (version === undefined || version === 0) return undefined
  if (version > Layout.layoutVersion) return { layoutVersion: version, revision: 0, compactedRevision: 0 }
  if (bytes.length !== 17) return undefined
  const meta = { layoutVersion: version, revision: getUint64(bytes, 1), compactedRevision: getUint64(bytes, 9) }
  return Number.isSafeInteger(meta.revision) && meta.revision >= 1 && meta.compactedRevision <= meta.revision
    ? meta
    : undefined
}
