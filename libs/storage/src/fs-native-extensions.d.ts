/** The part of fs-native-extensions 1.5.1 that is used; the package ships no types. */
declare module "fs-native-extensions" {
  /** Locks the whole file for writing. False if another open file has a lock. */
  export const tryLock: (fd: number) => boolean
}
