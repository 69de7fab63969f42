/** The entry point `@dkv/storage/rocksdb`: ordered storage in RocksDB. */
export * as RocksDbStorage from "./RocksDbStorage.ts"
