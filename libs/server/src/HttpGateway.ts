/** The gateway for HTTP/1.1: Node's parser, our limits, and the routes that layers have added. Health and version are among them. */
import type { RaftNode } from "@dkv/raft"
import { Effect, Fiber, Layer, Option } from "effect"
import type { Scope } from "effect"
import * as Http from "node:http"
import { Gateways } from "./Gateways.ts"
import type { Connection } from "./Gateways.ts"
import * as Health from "./Health.ts"
import { HttpRoutes, text } from "./HttpRoutes.ts"
import type { Answer } from "./HttpRoutes.ts"
import { HttpWatch } from "./HttpWatch.ts"
import * as Limits from "./Limits.ts"
import type { MemberInfo } from "./MemberInfo.ts"

/** Serves whatever is in `HttpRoutes`. */
export const layerRoutes: Layer.Layer<never, never, Gateways | HttpRoutes> = Layer.effectDiscard(
  Effect.gen(function*() {
    const gateways = yield* Gateways
    const routes = yield* HttpRoutes
    const watch = new HttpWatch()
    const server = yield* makeServer(routes, watch)
    yield* Effect.forkScoped(
      Effect.forever(Effect.andThen(Effect.sleep(Limits.httpCheckMillis), Effect.sync(() => watch.look())))
    )
    yield* gateways.register("http1", (connection) => serve(server, watch, connection))
  })
)

/** Serves health and version, and what other layers add to `HttpRoutes.layer`. */
export const layer: Layer.Layer<never, never, Gateways | RaftNode.RaftNode | MemberInfo> = Layer.mergeAll(
  layerRoutes,
  Health.layer
).pipe(Layer.provide(HttpRoutes.layer))

const makeServer = Effect.fnUntraced(function*(
  routes: HttpRoutes["Service"],
  watch: HttpWatch
): Effect.fn.Return<Http.Server, never, Scope.Scope> {
  const context = yield* Effect.context<never>()
  const scope = yield* Effect.scope
  return yield* Effect.acquireRelease(
    Effect.sync(() =>
      Http.createServer(
        { maxHeaderSize: Limits.httpHeadBytesMax, keepAliveTimeout: Limits.httpIdleMillis },
        (request, response) => {
          watch.begin(request, response)
          const fiber = Effect.runForkWith(context)(Effect.flatMap(
            Effect.catchDefect(answer(routes, request), (defect) =>
              Effect.as(
                Effect.logWarning(`${request.method} ${request.url} broke off`, defect),
                text(500, "this member broke off while it worked on this\n")
              )),
            (given) => Effect.sync(() => send(request, response, given))
          ))
          response.once("close", () => fiber.interruptUnsafe())
          Fiber.runIn(fiber, scope)
        }
      )
    ),
    (server) => Effect.sync(() => server.closeAllConnections())
  )
})

const send = (request: Http.IncomingMessage, response: Http.ServerResponse, given: Answer): void => {
  response.writeHead(given.status, {
    ...given.headers,
    "content-type": given.type,
    "content-length": Buffer.byteLength(given.body)
  })
  response.end(request.method === "HEAD" ? "" : given.body)
  request.resume()
}

const answer = (routes: HttpRoutes["Service"], incoming: Http.IncomingMessage): Effect.Effect<Answer> =>
  Effect.suspend(() => {
    const target = incoming.url ?? ""
    const url = URL.parse(target.startsWith("/") ? `http://member${target}` : target)
    if (url === null) return Effect.succeed(text(400, "the request target makes no sense\n"))
    const [segment = "", ...rest] = url.pathname.slice(1).split("/")
    const handler = routes.find(segment)
    return handler === undefined
      ? Effect.succeed(text(404, `not found: try ${routes.segments().map((each) => `/${each}`).join(" ")}\n`))
      : handler({ method: incoming.method ?? "", url, rest, incoming })
  })

/** Hands the connection to Node's HTTP server and stays until it is over. */
const serve = (server: Http.Server, watch: HttpWatch, connection: Connection): Effect.Effect<void> =>
  Option.match(connection.raw, {
    onNone: () => Effect.void,
    onSome: (raw) => {
      const over = Effect.callback<void>((resume) => {
        const done = () => resume(Effect.void)
        raw.once("close", done)
        watch.open(raw, done)
        server.emit("connection", raw)
        // the peek at the first bytes left the stream paused
        raw.resume()
      })
      const drained = Effect.andThen(connection.closing, Effect.andThen(Effect.sync(() => watch.drain()), Effect.never))
      return Effect.ensuring(Effect.raceFirst(over, drained), Effect.sync(() => watch.close(raw)))
    }
  })
