/** What must hold whatever happens. A violation means that the state can no longer be trusted: the member stops, it does not limp. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation"
}

export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantViolation(message)
}
