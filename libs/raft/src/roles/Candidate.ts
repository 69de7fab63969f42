/** A member that stands for election. Alive meanwhile: the election timer. */
import * as Timer from "./Timer.ts"

export const run = Timer.serving
