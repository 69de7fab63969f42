/** Peer addresses as people write them: `host:port`, `[::1]:2380`, `:2380` for all interfaces. */

export interface HostPort {
  /** A name, an IPv4 or IPv6 address without brackets, or empty for all interfaces. */
  readonly host: string
  readonly port: number
}

/** Undefined if `address` is not of that form. Port 0 asks for any free port. */
export const parse = (address: string): HostPort | undefined => {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(address)
  if (match === null) return undefined
  const port = Number(match[3])
  return port > 65_535 ? undefined : { host: match[1] ?? match[2] ?? "", port }
}

export const format = ({ host, port }: HostPort): string => host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
