/** A member that keeps no data: it votes, acknowledges, and never stands for election. Alive meanwhile: a timer that notices a silent leader. */
import * as Timer from "./Timer.ts"

export const run = Timer.serving
