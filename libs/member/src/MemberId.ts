/** Identities of members and clusters: 64 random bits as 16 lower-case hex digits. */
import { Context, Effect, Layer, Random } from "effect"

/** What identities are drawn from; `Random` itself unless another source is given, so that a simulated member's come from its seed. */
export const Source: Context.Reference<Random.Random | undefined> = Context.Reference<Random.Random | undefined>(
  "@dkv/member/MemberId/Source",
  { defaultValue: () => undefined }
)

const part = Random.nextIntBetween(0, 0xffff)

/** Draws a new identity. */
export const make: Effect.Effect<string> = Effect.gen(function*() {
  const source = yield* Source
  const draw = Effect.all([part, part, part, part])
  const parts = yield* source === undefined ? draw : Effect.provideService(draw, Random.Random, source)
  return parts.map((each) => each.toString(16).padStart(4, "0")).join("")
})

const words = new Uint32Array(1)
const word = (): number => crypto.getRandomValues(words)[0]!

/** Randomness of the operating system: identities must not collide between machines that were started from the same image. */
export const layerSecure: Layer.Layer<never> = Layer.succeed(Source, {
  nextIntUnsafe: () => word() * 0x20_0000 + (word() >>> 11) + Number.MIN_SAFE_INTEGER,
  nextDoubleUnsafe: () => (word() * 0x20_0000 + (word() >>> 11)) / 0x20_0000_0000_0000
})
