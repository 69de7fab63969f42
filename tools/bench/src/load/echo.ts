/**
 * A gRPC server that answers every call at once with an empty success: what is left is the cost of the generator. It prints its port on one line and ends with
 * its standard input.
 */
import * as Http2 from "node:http2"

/** A gRPC message of two bytes: a `PutResponse` with an empty header. */
const answer = Buffer.from([0, 0, 0, 0, 2, 0x0a, 0])

const server = Http2.createServer({ settings: { initialWindowSize: 1024 * 1024 } })
server.on("stream", (stream) => {
  stream.on("error", () => stream.destroy())
  stream.resume()
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true })
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }))
  stream.end(answer)
})
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1")

process.stdin.on("end", () => process.exit(0)).resume()
