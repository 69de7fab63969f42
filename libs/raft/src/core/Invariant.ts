/** What must hold whatever happens. A violation means that the state can no longer be trusted: the member stops, it does not limp. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation"
}

/** This member's log lacks entries that it has acknowledged to the leader of this very term: an old copy of it was put back, or its end was removed. */
export class AcknowledgedEntriesLost extends InvariantViolation {}

export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantViolation(message)
}
