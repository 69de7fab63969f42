/** A cluster of variables, and a terminal of strings: the whole command line runs, without sockets and without the process's streams. */
import { Admin } from "@dkv/protocol"
import type { Operation } from "@dkv/protocol"
import { ConfigProvider, Console, Effect, Layer, Option } from "effect"
import { Cluster, ClusterError } from "../src/Cluster.ts"
import { run } from "../src/Program.ts"
import { Screen, ScreenError } from "../src/Screen.ts"
import { Reach } from "../src/Session.ts"
import type { Settings } from "../src/Settings.ts"

const text = new TextDecoder("latin1")
const name = (key: Uint8Array) => text.decode(key)

export const memberView = (index: number, isLeader: boolean): Admin.MemberView =>
  new Admin.MemberView({
    id: `000000000000000${index}`,
    name: `dkv-${index}`,
    peerAddress: `localhost:238${index}`,
    clientAddress: `localhost:300${index}`,
    role: "voter",
    autoPromote: true,
    priority: index,
    isLeader
  })

export const listView = new Admin.MemberListView({
  members: [memberView(0, true), memberView(1, false)],
  leader: Option.some("0000000000000000"),
  isJoint: false
})

export const statusView = new Admin.StatusView({
  id: "0000000000000000",
  name: "dkv-0",
  version: "0.1.0",
  clientAddress: "localhost:3000",
  peerAddress: "localhost:2380",
  role: "Leader",
  term: 7,
  leader: Option.some("0000000000000000"),
  leaderName: "dkv-0",
  commitIndex: 42,
  appliedIndex: 41,
  lastIndex: 43,
  previousIndex: 0,
  members: 3,
  voters: 3,
  copies: 2,
  peers: [],
  fenced: Option.none()
})

export class FakeCluster {
  readonly rows = new Map<string, Operation.KeyValue>()
  readonly calls: Array<ReadonlyArray<unknown>> = []
  revision = 1
  pageRows = 2
  failure: ClusterError | undefined
  /** Why the member that answers does not serve. */
  fenced: string | undefined
  settings: Settings | undefined
  joinedAs: "learner" | "voter" = "learner"

  private readonly answer = <A>(value: () => A): Effect.Effect<A, ClusterError> =>
    Effect.suspend(() => this.failure === undefined ? Effect.succeed(value()) : Effect.fail(this.failure))

  readonly service = Cluster.of({
    put: (key, value) =>
      this.answer(() => {
        const before = this.rows.get(name(key))
        const revision = ++this.revision
        this.rows.set(name(key), {
          key,
          value,
          createRevision: before?.createRevision ?? revision,
          modRevision: revision,
          version: (before?.version ?? 0) + 1,
          lease: 0
        })
        return { _tag: "Put", revision }
      }),
    delete: (key) =>
      this.answer(() => ({ _tag: "Delete", revision: this.revision, deleted: this.rows.delete(name(key)) ? 1 : 0 })),
    range: (range, consistency) =>
      this.answer(() => {
        this.calls.push(["range", range.limit, consistency])
        const from = name(range.key)
        const end = name(range.end)
        const all = [...this.rows.values()]
          .filter(({ key }) => end === "" ? name(key) === from : name(key) >= from && name(key) < end)
          .sort((left, right) => (name(left.key) < name(right.key) ? -1 : 1) * (range.reverse ? -1 : 1))
        const kvs = all.slice(0, Math.min(this.pageRows, range.limit))
        return { _tag: "Range", revision: this.revision, kvs, more: kvs.length < all.length }
      }),
    members: this.answer(() => listView),
    join: (join) =>
      this.answer(() => {
        this.calls.push(["join", join])
        return new Admin.MemberView({
          ...memberView(3, false),
          name: join.name,
          role: this.joinedAs,
          autoPromote: !join.learnerOnly
        })
      }),
    leave: (member, force) => this.answer(() => (this.calls.push(["leave", member, force]), listView)),
    promote: (member, force) => this.answer(() => (this.calls.push(["promote", member, force]), listView)),
    update: (member, changes) => this.answer(() => (this.calls.push(["update", member, changes]), listView)),
    transfer: (to) => this.answer(() => (this.calls.push(["transfer", to]), memberView(1, true))),
    settings: (changes) =>
      this.answer(() => {
        this.calls.push(["settings", changes])
        return new Admin.SettingsView({
          leaderLeases: false,
          deadMembers: "warn",
          deadMemberMillis: 600_000,
          ...changes
        })
      }),
    status: (endpoint) =>
      endpoint.endsWith(":9")
        ? Effect.fail(new ClusterError({ reason: "Failed", message: "does not answer" }))
        : this.answer(() => new Admin.StatusView({ ...statusView, fenced: Option.fromNullishOr(this.fenced) }))
  })
}

export interface Ran {
  readonly exitCode: number
  readonly output: Uint8Array
  readonly text: string
  readonly error: string
}

/** Types a command. */
export const type = (
  cluster: FakeCluster,
  args: ReadonlyArray<string>,
  around: {
    readonly env?: Record<string, string>
    readonly input?: Uint8Array
    readonly isTerminal?: boolean
    /** Nobody reads the output any more. */
    readonly isBroken?: boolean
  } = {}
): Effect.Effect<Ran> =>
  Effect.gen(function*() {
    const output: Array<number> = []
    const help: Array<string> = []
    const errors: Array<string> = []
    const console: Console.Console = {
      ...globalThis.console,
      log: (...parts) => void help.push(parts.join(" ")),
      error: (...parts) => void errors.push(parts.join(" "))
    }
    const exitCode = yield* run(args).pipe(
      Effect.provideService(Reach, (settings) => {
        cluster.settings = settings
        return Layer.succeed(Cluster, cluster.service)
      }),
      Effect.provideService(Screen, {
        isTerminal: around.isTerminal ?? false,
        write: (bytes) =>
          around.isBroken === true
            ? Effect.fail(new ScreenError({ message: "the output broke: EPIPE" }))
            : Effect.sync(() => void output.push(...bytes)),
        readAll: Effect.succeed(around.input ?? new Uint8Array(0))
      }),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: around.env ?? {} })),
      Effect.provideService(Console.Console, console)
    )
    const bytes = Uint8Array.from(output)
    return {
      exitCode,
      output: bytes,
      text: new TextDecoder().decode(bytes) + help.join("\n"),
      error: errors.join("\n")
    }
  })
