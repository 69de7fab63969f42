/** Whether what clients saw can be explained by some order: a checker in the manner of porcupine, and models. */
export * as Checker from "./Checker.ts"
export * as History from "./History.ts"
export * as KvCheck from "./KvCheck.ts"
export * as KvModel from "./KvModel.ts"
export * as Model from "./Model.ts"
export * as Picture from "./Picture.ts"
