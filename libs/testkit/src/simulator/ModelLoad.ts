/** Clients of a service of one's own: they ask members what the definition draws, and a model says whether some order explains what they heard. */
import type { RaftError, RaftNode } from "@dkv/raft"
import type { Context, Effect } from "effect"
import { Cause, Exit, Option } from "effect"
import * as Checker from "../linearizability/Checker.ts"
import * as History from "../linearizability/History.ts"
import type { Model } from "../linearizability/Model.ts"
import * as Picture from "../linearizability/Picture.ts"
import { ask } from "./Ask.ts"
import { collect, pauseMeanMillis, restCallers } from "./Load.ts"
import type { Load, Verdict } from "./Load.ts"
import type { Options } from "./Options.ts"
import type { Prng } from "./Prng.ts"
import type { SimCluster } from "./SimCluster.ts"
import type { SimMember } from "./SimMember.ts"
import { name } from "./Names.ts"

export interface Definition<Services, State, Input, Output> {
  /** What somebody asks next. */
  readonly draw: (prng: Prng) => Input
  /** Asks a member. A failure that is not of reason `Unknown` says that nothing was carried out, nor will be. */
  readonly carryOut: (
    services: Context.Context<RaftNode.RaftNode | Services>,
    input: Input
  ) => Effect.Effect<Output, RaftError>
  readonly model: Model<State, Input, Output>
}

/** Calls that have to be carried out after healing. */
const probes = 5
const retryMillis = 100

/** A load for a `Stack`: as many clients and calls as the seed draws, each client with one call open at a time. */
export const make =
  <State, Input, Output, Services = never>(definition: Definition<Services, State, Input, Output>) =>
  (cluster: SimCluster<Services>, options: Options): Load<Services> => new ModelLoad(definition, cluster, options)

class ModelLoad<Services, State, Input, Output> implements Load<Services> {
  acknowledged = 0
  readonly outcomes = new Map<string, number>()
  private readonly definition: Definition<Services, State, Input, Output>
  private readonly cluster: SimCluster<Services>
  private readonly options: Options
  private readonly prng: Prng
  private readonly events: Array<History.Event<Input, Output>> = []
  private issued = 0
  private isAnswered = false

  constructor(
    definition: Definition<Services, State, Input, Output>,
    cluster: SimCluster<Services>,
    options: Options
  ) {
    this.definition = definition
    this.cluster = cluster
    this.options = options
    this.prng = cluster.world.prng.fork()
    for (let client = 0; client < options.clients; client++) this.later(`c${client}`)
  }

  get probed(): boolean {
    return this.isAnswered && this.issued >= this.options.operations
  }

  probe(members: ReadonlyArray<SimMember<Services>>): void {
    let left = probes
    const next = (): void =>
      this.call("probe", members, (carriedOut) => {
        if (carriedOut) left--
        if (left > 0) return void this.cluster.world.after(retryMillis, next)
        this.isAnswered = true
        const callers = restCallers(this.options, this.issued)
        for (let caller = 0; caller < callers; caller++) this.rest(`probe.${caller}`, members)
      })
    next()
  }

  private rest(client: string, members: ReadonlyArray<SimMember<Services>>): void {
    if (this.issued >= this.options.operations) return
    this.issued++
    this.call(client, members, () => this.rest(client, members))
  }

  askEach(members: ReadonlyArray<SimMember<Services>>, done: (unanswered: ReadonlyArray<string>) => void): void {
    collect(members, (member, answered) => this.call(`last.${name(member.id)}`, [member], answered), done)
  }

  verdict(): Verdict {
    const verdict = Checker.check(this.definition.model, History.fromEvents(this.events))
    const stuck = verdict.parts.find((part) => part._tag === "Violation")
    return stuck === undefined
      ? { failure: undefined, proven: verdict._tag === "Ok" ? "Whole" : verdict._tag, picture: undefined }
      : { failure: "not linearizable", proven: "Violation", picture: Picture.text(stuck, { describe }) }
  }

  private later(client: string): void {
    const { cluster: { world }, issued, options } = this
    const meanMillis = pauseMeanMillis(options, { callers: options.clients, issued, now: world.now })
    world.after(this.prng.exponential(meanMillis), () => {
      if (this.issued >= options.operations) return
      this.issued++
      this.call(client, this.cluster.members, () => this.later(client))
    })
  }

  private call(
    client: string,
    members: ReadonlyArray<SimMember<Services>>,
    done: (carriedOut: boolean) => void
  ): void {
    const { cluster, definition, events, prng } = this
    const input = definition.draw(prng)
    const member = prng.pick(members)
    events.push({ _tag: "Call", client, timeMillis: cluster.world.now, input })
    ask(cluster.world, prng, member, (services) => definition.carryOut(services, input), (exit) => {
      const event = this.ended(client, exit)
      events.push(event)
      const output = event._tag === "Return" ? Option.some(event.output) : Option.none()
      cluster.say(`${client} at ${name(member.id)}: ${describe(input, output)} ${event._tag.toLowerCase()}`)
      this.outcomes.set(event._tag, (this.outcomes.get(event._tag) ?? 0) + 1)
      if (event._tag === "Return") this.acknowledged++
      done(event._tag === "Return")
    })
  }

  private ended(client: string, exit: Exit.Exit<Output, RaftError> | undefined): History.Event<Input, Output> {
    const timeMillis = this.cluster.world.now
    if (exit === undefined) return { _tag: "Unknown", client, timeMillis }
    if (Exit.isSuccess(exit)) return { _tag: "Return", client, timeMillis, output: exit.value }
    const error = exit.cause.reasons.find(Cause.isFailReason)?.error
    const isUnknown = error === undefined || error.reason === "Unknown"
    return { _tag: isUnknown ? "Unknown" : "Failed", client, timeMillis }
  }
}

const describe = (input: unknown, output: Option.Option<unknown>): string =>
  `${JSON.stringify(input)} → ${Option.match(output, { onNone: () => "?", onSome: JSON.stringify })}`
