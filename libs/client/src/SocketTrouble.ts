/** Why a connection failed, in words for a person: the errors of sockets carry it in their causes. */
import type { Socket } from "effect/socket"

/** One line, without the address. */
export const describe = ({ reason }: { readonly reason: Socket.SocketErrorReason }): string => {
  switch (reason._tag) {
    case "SocketCloseError":
      return reason.closeReason ?? (reason.code === 1000 ? "the member closed the connection" : "the connection broke")
    case "SocketOpenError":
      return wordsOf(reason.cause) ?? "no connection"
    case "SocketReadError":
    case "SocketWriteError":
      return wordsOf(reason.cause) ?? "the connection broke"
    case "SocketUpgradeError":
      return reason.message
  }
}

/** A name with several addresses fails with one error for each. */
const wordsOf = (cause: unknown): string | undefined => {
  if (cause instanceof AggregateError) return cause.errors.map((each) => wordsOf(each) ?? "").join(", ")
  return cause instanceof Error && cause.message !== "" ? cause.message : undefined
}
