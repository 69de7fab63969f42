/** A member that has not heard a leader for too long and asks whether it could win an election. Alive meanwhile: the election timer. */
import * as Timer from "./Timer.ts"

export const run = Timer.serving
