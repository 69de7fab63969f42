/** The part of `rocksdb-native` that the ceiling uses; the package ships no types. */
declare module "rocksdb-native" {
  export interface WriteBatch {
    tryPut(key: Uint8Array, value: Uint8Array): void
    flush(): Promise<void>
    destroy(): void
  }

  export default class RocksDB {
    constructor(path: string, options?: { readonly createIfMissing?: boolean })
    ready(): Promise<void>
    write(options?: { readonly capacity?: number }): WriteBatch
  }
}
