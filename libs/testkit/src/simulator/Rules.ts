/** Which rules were looked at, and which was broken first. */
export class Rules {
  /** The first rule that was broken. */
  violation: string | undefined
  /** How often each rule was looked at. */
  readonly looks = new Map<string, number>()

  /** Looks at a rule once. */
  check(rule: string, holds: boolean, message: () => string): void {
    this.looks.set(rule, (this.looks.get(rule) ?? 0) + 1)
    if (!holds) this.violation ??= `${rule}: ${message()}`
  }
}
