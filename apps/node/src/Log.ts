/** One line per event on the error output: time, level, message, and what is attached. */
import { Cause, Effect, Layer, Logger, References } from "effect"
import type { LogLevel } from "effect"
import type { LogLevelName } from "./Settings.ts"

const text = (part: unknown): string =>
  typeof part === "string"
    ? part
    : part instanceof Error
    ? part.message
    : typeof part === "object" && part !== null
    ? JSON.stringify(part)
    : String(part)

/** Line breaks would make one event look like several. */
const oneLine = (value: string): string => value.replaceAll(/\s*\r?\n\s*/g, " | ")

export const format = (options: Logger.Options<unknown>): string => {
  const parts = Array.isArray(options.message) ? options.message : [options.message]
  const annotations = Object.entries(options.fiber.getRef(References.CurrentLogAnnotations))
  const cause = options.cause.reasons.length > 0 ? `: ${Cause.pretty(options.cause)}` : ""
  const attached = annotations.map(([key, value]) => ` ${key}=${text(value)}`).join("")
  const event = oneLine(parts.map(text).join(" ") + cause + attached)
  return `${options.date.toISOString()} ${options.logLevel.toUpperCase().padEnd(5)} ${event}`
}

const levels: Record<LogLevelName, LogLevel.LogLevel> = {
  trace: "Trace",
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  error: "Error",
  none: "None"
}

export const layer = (level: LogLevelName): Layer.Layer<never> =>
  Layer.mergeAll(
    Logger.layer([Logger.withConsoleError(Logger.make(format))]),
    Layer.succeed(References.MinimumLogLevel, levels[level])
  )

/** The layer for an effect. */
export const provide = (level: LogLevelName) => Effect.provide(layer(level))
