/**
 * Health and version over HTTP, as etcd has them (`etcdhttp/health.go`, `etcdhttp/version.go`), so that probes written for it work. `/livez` asks this member only;
 * `/readyz` and `/health` ask whether it can serve a linearizable read. A witness, which can serve none, is never ready; it is healthy when it could, had it data.
 */
import { RaftNode } from "@dkv/raft"
import type { RaftError } from "@dkv/raft"
import { Effect, Layer, Option } from "effect"
import { HttpRoutes, json, text } from "./HttpRoutes.ts"
import type { Answer, Handler, Request } from "./HttpRoutes.ts"
import * as Limits from "./Limits.ts"
import { MemberInfo } from "./MemberInfo.ts"

/** `run` says what is wrong, if something is. */
interface Check {
  readonly name: "data_corruption" | "serializable_read" | "linearizable_read" | "non_learner"
  readonly run: Effect.Effect<Option.Option<string>>
}

/** Adds `/health`, `/livez`, `/readyz` and `/version`. */
export const layer: Layer.Layer<never, never, HttpRoutes | RaftNode.RaftNode | MemberInfo> = Layer.effectDiscard(
  Effect.gen(function*() {
    const node = yield* RaftNode.RaftNode
    const info = yield* MemberInfo
    const routes = yield* HttpRoutes
    // what stops a member from serving is, above all, that it does not trust its data
    const sound: Check = { name: "data_corruption", run: info.fenced }
    const serving: Check = { name: "serializable_read", run: info.fenced }
    const linearizable = confirmed(node.readBarrier({ timeoutMillis: Limits.healthMillis }))
    const following = confirmed(node.configuration({ timeoutMillis: Limits.healthMillis }))
    const nonLearner: Check = {
      name: "non_learner",
      run: Effect.map(
        node.status,
        (status) => status.role === "Learner" ? Option.some("this member is a learner") : Option.none()
      )
    }
    yield* routes.add("health", onlyGet(whole(({ url }) => health(url, serving, following))))
    yield* routes.add("livez", onlyGet(checks("livez", [serving])))
    yield* routes.add("readyz", onlyGet(checks("readyz", [sound, serving, linearizable, nonLearner])))
    yield* routes.add("version", onlyGet(whole(() => Effect.succeed(json(200, versionOf(info))))))
  })
)

const confirmed = (barrier: Effect.Effect<unknown, RaftError>): Check => ({
  name: "linearizable_read",
  run: Effect.match(barrier, { onFailure: (error) => Option.some(error.message), onSuccess: () => Option.none() })
})

const versionOf = ({ name, version }: MemberInfo["Service"]) => {
  const compatible = version.replace(/^(\d+\.\d+).*$/, "$1.0")
  return { etcdserver: version, etcdcluster: compatible, storage: compatible, dkv: version, name }
}

const onlyGet = (handler: Handler): Handler => (request) =>
  request.method === "GET" || request.method === "HEAD"
    ? handler(request)
    : Effect.succeed(text(405, "use GET\n", { allow: "GET, HEAD" }))

const whole = (handler: Handler): Handler => (request) => request.rest.length > 0 ? notFound : handler(request)

const notFound: Effect.Effect<Answer> = Effect.succeed(text(404, "not found\n"))

const health = (url: URL, serving: Check, following: Check): Effect.Effect<Answer> => {
  const asked = url.searchParams.get("serializable") === "true" ? [serving] : [serving, following]
  return Effect.map(failures(asked, new Set()), (failed) => {
    const reason = failed.map(({ reason }) => reason).join("; ")
    return json(failed.length === 0 ? 200 : 503, { health: String(failed.length === 0), reason })
  })
}

/** All checks, or the one that the path names, without those that the query excludes. */
const checks = (name: string, all: ReadonlyArray<Check>) => ({ rest, url }: Request): Effect.Effect<Answer> => {
  const chosen = rest.length === 0 ? all : all.filter((check) => check.name === rest[0])
  if (chosen.length === 0 || rest.length > 1) return notFound
  const excluded = new Set(url.searchParams.getAll("exclude"))
  return Effect.map(failures(chosen, excluded), (failed) => {
    if (failed.length === 0 && !url.searchParams.has("verbose")) return text(200, "ok\n")
    const lines = chosen.map((check) => {
      if (excluded.has(check.name)) return `[+]${check.name} excluded: ok\n`
      const failure = failed.find((each) => each.name === check.name)
      return failure === undefined ? `[+]${check.name} ok\n` : `[-]${check.name} failed: ${failure.reason}\n`
    })
    return failed.length === 0
      ? text(200, `${lines.join("")}ok\n`)
      : text(503, `${lines.join("")}${name} check failed\n`)
  })
}

const failures = (all: ReadonlyArray<Check>, excluded: ReadonlySet<string>) =>
  Effect.map(
    Effect.forEach(
      all.filter((check) => !excluded.has(check.name)),
      (check) => Effect.map(check.run, (reason) => ({ name: check.name, reason })),
      { concurrency: "unbounded" }
    ),
    (found) => found.flatMap(({ name, reason }) => Option.isSome(reason) ? [{ name, reason: reason.value }] : [])
  )
