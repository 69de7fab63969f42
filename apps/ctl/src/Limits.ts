/** Bounds of the command itself; what bounds keys, values and answers is decided by the members. */

/** Longest value that `set KEY -` reads; a longer one is refused before it is sent, and so would the members. */
export const stdinBytesMax = 16 * 1024 * 1024

/** Rows that `range` asks for at a time; it goes on until there are no more, or its limit is reached. */
export const pageRows = 1000

/** Longest key that members take, which bounds where a range can end. */
export const keyBytesMax = 8 * 1024
