/**
 * The gateway for HTTP/1.1: health and version, as etcd has them (`etcdhttp/health.go`). `/livez` asks this member only; `/readyz` and `/health` ask whether it can
 * serve a linearizable read.
 */
import { RaftNode } from "@dkv/raft"
import { Effect, Layer, Option } from "effect"
import * as Http from "node:http"
import { Gateways } from "./Gateways.ts"
import type { Connection } from "./Gateways.ts"
import * as Limits from "./Limits.ts"
import { MemberInfo } from "./MemberInfo.ts"

interface Answer {
  readonly status: number
  readonly type: "text/plain" | "application/json"
  readonly body: string
}

interface Check {
  readonly name: string
  readonly run: Effect.Effect<Option.Option<string>>
}

export const layer: Layer.Layer<never, never, Gateways | RaftNode.RaftNode | MemberInfo> = Layer.effectDiscard(
  Effect.gen(function*() {
    const node = yield* RaftNode.RaftNode
    const info = yield* MemberInfo
    const gateways = yield* Gateways
    const context = yield* Effect.context<never>()
    const answer = makeAnswer(node, info)
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const server = Http.createServer({
          maxHeaderSize: Limits.httpHeadBytesMax,
          headersTimeout: Limits.httpHeadMillis,
          requestTimeout: Limits.httpRequestMillis,
          keepAliveTimeout: Limits.httpIdleMillis
        }, (request, response) => {
          request.resume()
          Effect.runForkWith(context)(Effect.map(answer(request.method ?? "", request.url ?? ""), (given) => {
            response.writeHead(given.status, {
              "content-type": given.type,
              "content-length": Buffer.byteLength(given.body)
            })
            response.end(request.method === "HEAD" ? "" : given.body)
          }))
        })
        return server
      }),
      (server) => Effect.sync(() => server.closeAllConnections())
    )
    yield* gateways.register("http1", (connection) => serve(server, connection))
  })
)

/** Hands the connection to Node's HTTP server and stays until it is over. */
const serve = (server: Http.Server, connection: Connection): Effect.Effect<void> =>
  Option.match(connection.raw, {
    onNone: () => Effect.void,
    onSome: (raw) =>
      Effect.raceFirst(
        Effect.callback<void>((resume) => {
          raw.once("close", () => resume(Effect.void))
          server.emit("connection", raw)
          // the peek at the first bytes left the stream paused
          raw.resume()
        }),
        connection.closing
      )
  })

const makeAnswer = (node: RaftNode.RaftNode["Service"], info: MemberInfo["Service"]) => {
  const linearizable: Check = {
    name: "linearizable_read",
    run: node.readBarrier({ timeoutMillis: Limits.healthMillis }).pipe(
      Effect.match({ onFailure: (error) => Option.some(error.message), onSuccess: () => Option.none() })
    )
  }
  const serving: Check = { name: "serializable_read", run: info.fenced }
  const nonLearner: Check = {
    name: "non_learner",
    run: Effect.map(
      node.status,
      (status) => status.role === "Learner" ? Option.some("this member is a learner") : Option.none()
    )
  }
  return (method: string, target: string): Effect.Effect<Answer> => {
    if (!URL.canParse(target, "http://member")) return Effect.succeed(text(400, "the request target makes no sense\n"))
    const url = new URL(target, "http://member")
    const [path, ...rest] = url.pathname.slice(1).split("/")
    if (method !== "GET" && method !== "HEAD") return Effect.succeed(text(405, "use GET\n"))
    switch (path) {
      case "health":
        return rest.length > 0 ? notFound : Effect.map(
          failures([serving, ...url.searchParams.get("serializable") === "true" ? [] : [linearizable]], new Set()),
          (failed) =>
            json(failed.length === 0 ? 200 : 503, {
              health: failed.length === 0 ? "true" : "false",
              reason: failed.map(({ reason }) => reason).join("; ")
            })
        )
      case "livez":
        return checks("livez", [serving], rest, url.searchParams)
      case "readyz":
        return checks("readyz", [serving, linearizable, nonLearner], rest, url.searchParams)
      case "version":
        return rest.length > 0 ? notFound : Effect.succeed(json(200, { dkv: info.version, name: info.name }))
      default:
        return notFound
    }
  }
}

const checks = (
  name: string,
  all: ReadonlyArray<Check>,
  rest: ReadonlyArray<string>,
  parameters: URLSearchParams
): Effect.Effect<Answer> => {
  const chosen = rest.length === 0 ? all : all.filter((check) => check.name === rest[0])
  if (chosen.length === 0 || rest.length > 1) return notFound
  const excluded = new Set(parameters.getAll("exclude"))
  return Effect.map(failures(chosen, excluded), (failed) => {
    if (failed.length === 0 && !parameters.has("verbose")) return text(200, "ok\n")
    const lines = chosen.map((check) => {
      if (excluded.has(check.name)) return `[+]${check.name} excluded: ok\n`
      const failure = failed.find((each) => each.name === check.name)
      return failure === undefined ? `[+]${check.name} ok\n` : `[-]${check.name} failed: ${failure.reason}\n`
    })
    const verdict = failed.length === 0 ? `${name} check passed\n` : `${name} check failed\n`
    return text(failed.length === 0 ? 200 : 503, lines.join("") + verdict)
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

const text = (status: number, body: string): Answer => ({ status, type: "text/plain", body })
const json = (status: number, body: unknown): Answer => ({
  status,
  type: "application/json",
  body: JSON.stringify(body) + "\n"
})
const notFound: Effect.Effect<Answer> = Effect.succeed(text(404, "not found: try /health /livez /readyz /version\n"))
