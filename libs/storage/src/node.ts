/** The entry point `@dkv/storage/node`: the operating system's disk. */
export * as NodeDisk from "./NodeDisk.ts"
