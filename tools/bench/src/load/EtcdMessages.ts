/** The two protobuf messages of etcd's v3 API that the load sends, encoded once with a place for the key (etcd `rpc.proto`). */
import { keyBytes, valueBytes } from "../Limits.ts"
import type { Operation } from "./Workload.ts"
import { value } from "./Workload.ts"

export interface Template {
  readonly path: string
  readonly message: Uint8Array
  /** Where the key's bytes are in `message`. */
  readonly keyOffset: number
  /** An answer with a shorter message did not do what was asked: a read that found no value, say. */
  readonly answerBytesMin: number
}

const lengthDelimited = (field: number, length: number): Array<number> => {
  const bytes = [(field << 3) | 2]
  let rest = length
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  bytes.push(rest)
  return bytes
}

const keyField = lengthDelimited(1, keyBytes)

const put: Template = {
  path: "/etcdserverpb.KV/Put",
  message: Buffer.concat([
    Buffer.from(keyField),
    Buffer.alloc(keyBytes),
    Buffer.from(lengthDelimited(2, valueBytes)),
    value
  ]),
  keyOffset: keyField.length,
  answerBytesMin: 1
}

const get: Template = {
  path: "/etcdserverpb.KV/Range",
  message: Buffer.concat([Buffer.from(keyField), Buffer.alloc(keyBytes)]),
  keyOffset: keyField.length,
  answerBytesMin: valueBytes
}

/** `PutRequest` and, linearizable as it is by default, `RangeRequest` of one key. */
export const template = (operation: Operation): Template => operation === "put" ? put : get
