/** `host:port` as people type it: a name, an IPv4 address, an IPv6 address in brackets, or nothing for the host. */

export interface Address {
  /** Empty when the text named only a port. */
  readonly host: string
  readonly port: number
}

/** The address, or `undefined` when the text is not one. Port 0 is allowed: a listener then picks a free one. */
export const parse = (text: string): Address | undefined => {
  const trimmed = text.trim()
  const match = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^\s:[\]/]*)):(\d{1,5})$/.exec(trimmed)
  if (match === null) return undefined
  const port = Number(match[3])
  return port > 65535 ? undefined : { host: match[1] ?? match[2] ?? "", port }
}

/** The inverse of `parse`. */
export const format = (address: Address): string =>
  address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
