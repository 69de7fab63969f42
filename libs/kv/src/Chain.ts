/**
 * All changes of one key, newest first, as a skew-binary list (Myers, "An applicative random-access stack", 1983): a change points to the one
 * before it and to one further back, so that finding a change among n takes O(log n) steps and adding one takes constant work.
 *
 * The list is a row of complete binary trees. A tree of rank r holds 2^r - 1 changes, newest at its root; the children of a root are
 * the two trees that were the first of the row when it was added. The current row of a key keeps the roots of all its trees, so that a
 * new change needs no look at older ones. Ranks are kept with the roots: the oldest trees can be cut off by a compaction without a trace.
 */
import type { Place } from "./Layout.ts"

export interface Root extends Place {
  readonly rank: number
  /** Root of the tree behind this one. */
  readonly next: Root | undefined
}

/** Adds a change. */
export const push = (newest: Root | undefined, { main, position, sub }: Place): Root => {
  const second = newest === undefined ? undefined : newest.next
  return second !== undefined && newest!.rank === second.rank
    ? { rank: second.rank + 1, main, sub, position, next: second.next }
    : { rank: 1, main, sub, position, next: newest }
}

/** Number of trees behind the first. */
export const rootsBehind = (newest: Root): number => {
  let count = 0
  for (let root = newest.next; root !== undefined; root = root.next) count++
  return count
}

/** The oldest tree whose root is newer than the main revision `revision`; undefined if none is. */
export const treeAbove = (newest: Root, revision: number): Root | undefined => {
  if (newest.main <= revision) return undefined
  let tree = newest
  while (tree.next !== undefined && tree.next.main > revision) tree = tree.next
  return tree
}
