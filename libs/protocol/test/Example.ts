import { BatchRequest, Bytes, Frame, Limits } from "@dkv/protocol"

const operation = { _tag: "Put", key: Bytes.utf8("greeting"), value: Bytes.utf8("hello") } as const
const sent = BatchRequest.encode({ id: 1, consistency: "linearizable", timeoutMillis: 5000, operations: [operation] })

const decoder = new Frame.Decoder(Limits.requestBytesMax)
for (const chunk of [sent.subarray(0, 20), sent.subarray(20)]) {
  decoder.push(chunk, (frame) => {
    const batch = BatchRequest.decode(frame)
    if ("operations" in batch) console.log(batch.id, batch.operations[0]?._tag) // => 1 Put
    else console.log(batch.message) // what is wrong with it
  })
}
