/** What came about in a run besides faults: what it was founded with, and what members did that not every run shows. Counted, so that what never comes about is seen. */
export const names = [
  "runs with witnesses",
  "runs with little room",
  "runs with leader leases",
  "runs with priorities",
  "runs in which dead members are replaced",
  "runs with fibers in random order",
  "runs with clocks that drift",
  "partitions in three",
  "partitions with a bridge",
  "disks that hung",
  "members started again",
  "writes torn by a crash",
  "logs compacted",
  "snapshots installed",
  "snapshots installed by witnesses",
  "votes of witnesses",
  "commits that needed a witness"
] as const
export type Event = (typeof names)[number]

export class Events {
  readonly counts = new Map<Event, number>(names.map((name) => [name, 0]))

  add(event: Event, count = 1): void {
    this.counts.set(event, this.counts.get(event)! + count)
  }
}
