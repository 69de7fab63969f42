/** The part of rocksdb-native 3.18.1 that is used; the package ships no types. */
declare module "rocksdb-native" {
  interface Options {
    readonly createIfMissing?: boolean
    readonly maxBackgroundJobs?: number
    readonly maxOpenFiles?: number
    readonly bytesPerSync?: number
    readonly walRecoveryMode?: number
    readonly writeBufferSize?: number
    readonly maxWriteBufferNumber?: number
    readonly enableBlobFiles?: boolean
    readonly enableBlobGarbageCollection?: boolean
    readonly minBlobSize?: number
    readonly blobFileSize?: number
  }

  interface Range {
    readonly gte: Uint8Array
    readonly lt: Uint8Array
    readonly reverse?: boolean
    readonly limit?: number
    readonly capacity?: number
  }

  interface WriteBatch {
    /** Keeps the buffers, not copies of them. */
    tryPut(key: Uint8Array, value: Uint8Array): void
    tryDelete(key: Uint8Array): void
    tryDeleteRange(from: Uint8Array, to: Uint8Array): void
    flush(): Promise<void>
    destroy(): void
  }

  interface ReadBatch {
    get(key: Uint8Array): Promise<Uint8Array | null>
    flush(): Promise<void>
    destroy(): void
  }

  interface Iterator {
    on(event: "data", listener: (row: { readonly key: Uint8Array; readonly value: Uint8Array }) => void): void
    on(event: "error", listener: (error: unknown) => void): void
    on(event: "close", listener: () => void): void
    destroy(): void
  }

  class RocksDB {
    static readonly constants: { readonly walRecoveryMode: { readonly POINT_IN_TIME: number } }
    constructor(directory: string, options?: Options)
    ready(): Promise<void>
    /** Waits for open batches, iterators and snapshots. */
    close(): Promise<void>
    snapshot(): RocksDB
    write(options?: { readonly capacity?: number }): WriteBatch
    read(options?: { readonly capacity?: number }): ReadBatch
    iterator(range: Range): Iterator
    /** Makes everything written so far durable. */
    flush(): Promise<void>
    getProperty(name: string): Promise<string>
  }

  export default RocksDB
}
