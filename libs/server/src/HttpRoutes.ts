/**
 * What is served over HTTP/1.1, by the first segment of the path. A layer adds its routes while it is built; the gateway that serves them learns of new ones without
 * being touched.
 */
import { Context, Effect, Layer } from "effect"
import type { Scope } from "effect"
import type { IncomingMessage } from "node:http"

export interface Request {
  readonly method: string
  readonly url: URL
  /** Segments of the path behind the first, as they were sent. */
  readonly rest: ReadonlyArray<string>
  /** The same request as Node has it, for headers and body. A body that is not read is thrown away. */
  readonly incoming: IncomingMessage
}

export interface Answer {
  readonly status: number
  /** Length and type are added by themselves. */
  readonly headers?: Readonly<Record<string, string>>
  readonly type: string
  readonly body: string | Uint8Array
}

/** Interrupted when the other end goes away. For HEAD, the body of the answer is left out by the gateway. */
export type Handler = (request: Request) => Effect.Effect<Answer>

export class HttpRoutes extends Context.Service<HttpRoutes, {
  /** Serves what lies under `/segment` until the scope closes. Two handlers for one segment are a mistake in the program and die. */
  readonly add: (segment: string, handler: Handler) => Effect.Effect<void, never, Scope.Scope>
  readonly find: (segment: string) => Handler | undefined
  /** The segments that are served, in order. */
  readonly segments: () => ReadonlyArray<string>
}>()("@dkv/server/HttpRoutes") {
  /** To be provided to the gateway and to all layers that add routes; within one program they share it. */
  static readonly layer: Layer.Layer<HttpRoutes> = Layer.sync(HttpRoutes, () => {
    const handlers = new Map<string, Handler>()
    return HttpRoutes.of({
      add: (segment, handler) =>
        Effect.acquireRelease(
          Effect.suspend(() => {
            if (handlers.has(segment)) return Effect.die(new Error(`two handlers want to serve /${segment}`))
            handlers.set(segment, handler)
            return Effect.void
          }),
          () => Effect.sync(() => handlers.delete(segment))
        ),
      find: (segment) => handlers.get(segment),
      segments: () => [...handlers.keys()].sort()
    })
  })
}

export const text = (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  headers,
  type: "text/plain; charset=utf-8",
  body
})

export const json = (status: number, body: unknown): Answer => ({
  status,
  type: "application/json",
  body: JSON.stringify(body) + "\n"
})
