/** Connections between members, over Node's own sockets. */
export * as PeerPortTcp from "./PeerPortTcp.ts"
