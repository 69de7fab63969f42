/**
 * The Raft log and ordered byte-key storage. Layers that need the operating system or RocksDB are entry points of their own:
 * `@dkv/storage/node` (disk) and `@dkv/storage/rocksdb`.
 */
export * as AtomicFile from "./AtomicFile.ts"
export * as DataDirectory from "./DataDirectory.ts"
export * as Disk from "./Disk.ts"
export * as Limits from "./Limits.ts"
export * as LogRepair from "./LogRepair.ts"
export * as MemoryDisk from "./MemoryDisk.ts"
export * as MemoryLog from "./MemoryLog.ts"
export * as MemorySnapshot from "./MemorySnapshot.ts"
export * as MemoryStorage from "./MemoryStorage.ts"
export * as SegmentLog from "./SegmentLog.ts"
export * as SetAside from "./SetAside.ts"
export * as SnapshotFile from "./SnapshotFile.ts"
export * as Storage from "./Storage.ts"
