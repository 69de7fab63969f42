/** Which rules were looked at, and which was broken first. */

/** Every rule there is, so that one that is never looked at is noticed. */
export const names = [
  // Raft paper, figure 3
  "election safety",
  "leader completeness",
  "log matching",
  "state machine safety",
  // elections
  "a vote is durable before it is told",
  "one vote per term",
  "a leader's own vote is durable",
  "a quorum of durable votes elects",
  "nobody leads after a leader that has a lease",
  // replication
  "an acknowledgement follows its sync",
  "an answer's term is durable",
  "a quorum holds what is committed",
  "there are as many copies as promised",
  "quorums of one configuration and the next overlap",
  // witnesses
  "a witness holds no data",
  "a witness is told of what a disk holds with its data",
  // what only grows
  "terms grow",
  "the commit index grows",
  "applied indexes grow",
  "what is applied is committed",
  // disks
  "term and vote survive a restart",
  "what was synced survives a restart",
  "what is read is what was written",
  // members
  "a member stops for a reason",
  "a member that is asked to stop does so in time",
  "queues stay within their limits",
  "members that applied the same hold the same",
  "a change is answered by its deadline",
  "a proposal that is turned down never takes effect",
  // clients
  "a call ends by its deadline",
  "a call is carried out where nothing fails",
  "a stale read shows what was there once",
  "a bounded read shows what was acknowledged so long before",
  "a call fails in words that fit",
  "a client that closes ends its calls",
  "a client that is asked to close does so in time"
] as const

export type Rule = typeof names[number]

export class Rules {
  /** The first rule that was broken. */
  violation: string | undefined
  /** How often each rule was looked at. */
  readonly looks = new Map<Rule, number>(names.map((rule) => [rule, 0]))

  /** Looks at a rule once. */
  check(rule: Rule, holds: boolean, message: () => string): void {
    this.looks.set(rule, this.looks.get(rule)! + 1)
    if (!holds) this.violation ??= `${rule}: ${message()}`
  }
}
