/** What the writing process writes, so that another one can tell whether it is there. */
import { Entry, EntryKind } from "@dkv/raft"

export const entryOf = (index: number): Entry.Entry => {
  const data = new Uint8Array(10 + (index * 37) % 300)
  for (let at = 0; at < data.length; at++) data[at] = index * 7 + at
  return Entry.make(index, 1, EntryKind.Command, data)
}

export const keyOf = (name: string | number): Uint8Array => new TextEncoder().encode(`key-${name}`)
export const valueOf = (count: number): Uint8Array => new TextEncoder().encode(`${count}`.padEnd(200, "."))
export const numberOf = (value: Uint8Array): number => Number.parseInt(new TextDecoder().decode(value), 10)
