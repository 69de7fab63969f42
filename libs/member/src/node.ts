/** The entry point `@dkv/member/node`: a durable member over TCP. Loads native code, which the main entry point does not. */
export * as DkvNode from "./DkvNode.ts"
export * as MemberRecordFile from "./MemberRecordFile.ts"
export * as NodeParts from "./NodeParts.ts"
export * as NodeTakeOver from "./NodeTakeOver.ts"
