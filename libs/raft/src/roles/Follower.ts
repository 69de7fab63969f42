/** A member with a vote that follows a leader, or waits for one. Alive meanwhile: the election timer. */
import * as Timer from "./Timer.ts"

export const run = Timer.serving
