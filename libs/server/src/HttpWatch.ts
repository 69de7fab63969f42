/**
 * How long an HTTP connection may take for what. Node keeps its own limits on heads and requests only for servers that listen themselves; ours is handed its
 * connections.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import * as Limits from "./Limits.ts"

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly since: number
  endedAt: number | undefined
}

interface Entry {
  readonly over: () => void
  /** Unfinished, in order. */
  readonly exchanges: Array<Exchange>
  /** Since when no request is under way, and how many bytes had been read then. */
  idleSince: number
  idleBytes: number
  /** Since when a head has been arriving. */
  headSince: number | undefined
}

/** Mutable; one for all connections of a server. Its time passes with `look`. */
export class HttpWatch {
  private readonly entries = new Map<Socket, Entry>()
  private isClosing = false
  private now = 0

  /** A connection that has just begun to send its first head. `over` is called when it should end. */
  open(socket: Socket, over: () => void): void {
    this.entries.set(socket, { over, exchanges: [], idleSince: this.now, idleBytes: 0, headSince: this.now })
    if (this.isClosing) over()
  }

  close(socket: Socket): void {
    this.entries.delete(socket)
  }

  /** A head has arrived. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    const entry = this.entries.get(request.socket)
    if (entry === undefined) return
    const exchange: Exchange = { request, response, since: this.now, endedAt: undefined }
    entry.exchanges.push(exchange)
    entry.headSince = undefined
    response.shouldKeepAlive = response.shouldKeepAlive && !this.isClosing
    response.once("close", () => {
      entry.exchanges.splice(entry.exchanges.indexOf(exchange), 1)
      entry.idleSince = this.now
      entry.idleBytes = request.socket.bytesRead
      if (this.isClosing && entry.exchanges.length === 0) entry.over()
    })
  }

  /** Ends connections as soon as they have no request under way. */
  drain(): void {
    if (this.isClosing) return
    this.isClosing = true
    for (const { exchanges, over } of this.entries.values()) {
      if (exchanges.length === 0) over()
      for (const { response } of exchanges) if (!response.headersSent) response.shouldKeepAlive = false
    }
  }

  /** To be called every `Limits.httpCheckMillis`. */
  look(): void {
    this.now += Limits.httpCheckMillis
    for (const [socket, entry] of this.entries) {
      const verdict = this.judge(socket, entry)
      if (verdict === "late") {
        socket.write("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
      }
      if (verdict !== "fine") entry.over()
    }
  }

  private judge(socket: Socket, entry: Entry): "fine" | "late" | "over" {
    const oldest = entry.exchanges[0]
    if (oldest === undefined) {
      if (entry.headSince === undefined && socket.bytesRead > entry.idleBytes) entry.headSince = this.now
      if (entry.headSince !== undefined) return this.now - entry.headSince >= Limits.httpHeadMillis ? "late" : "fine"
      return this.now - entry.idleSince >= Limits.httpIdleMillis ? "over" : "fine"
    }
    const { request, response, since } = oldest
    if (!request.complete && this.now - since >= Limits.httpRequestMillis) return response.headersSent ? "over" : "late"
    if (!response.writableEnded) return "fine"
    oldest.endedAt ??= this.now
    return this.now - oldest.endedAt >= Limits.httpRequestMillis ? "over" : "fine"
  }
}
