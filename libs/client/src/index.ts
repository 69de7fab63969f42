/** The Effect client of a dkv cluster. */
export * as Client from "./Client.ts"
export { ClientError } from "./ClientError.ts"
export { Connector } from "./Connector.ts"
export * as Limits from "./Limits.ts"
