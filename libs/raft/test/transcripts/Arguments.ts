/** The words behind a command: taken one by one, so that what is wrong with them, or left over, is said in the words of the file. */
import type { Script } from "../support/Script.ts"
import { kinds } from "./Notation.ts"

export class Arguments {
  private readonly words: Array<string>
  private readonly script: Script | undefined

  constructor(words: ReadonlyArray<string>, script: Script | undefined) {
    this.words = [...words]
    this.script = script
  }

  word(what: string): string {
    const word = this.words.shift()
    if (word === undefined) throw new Error(`${what} is missing`)
    return word
  }

  rest(what: string): ReadonlyArray<string> {
    return [this.word(what), ...this.words.splice(0)]
  }

  number(what: string): number {
    return parsed(this.word(what), what)
  }

  /** A number if there is one more word. */
  numberOr(what: string, otherwise: number): number {
    return this.words.length === 0 ? otherwise : this.number(what)
  }

  member(): number {
    return this.known(this.number("a member"))
  }

  /** A member that is not down. */
  running(): number {
    const member = this.member()
    if (this.script!.down.has(member)) throw new Error(`member ${member} is down`)
    return member
  }

  /** Every member if none is named. */
  members(): ReadonlyArray<number> {
    return this.words.length === 0 ?
      [...this.script!.nodes.keys()] :
      this.words.splice(0).map((word) => this.known(parsed(word, "a member")))
  }

  /** `1>2`, if the next word is such a link. */
  linkIfAny(): readonly [from: number, to: number] | undefined {
    const [from, to, ...more] = this.words[0]?.split(">") ?? []
    if (to === undefined || more.length > 0) return undefined
    this.words.shift()
    return [this.known(parsed(from!, "a member")), this.known(parsed(to, "a member"))]
  }

  link(): readonly [from: number, to: number] {
    const link = this.linkIfAny()
    if (link === undefined) throw new Error("a link such as 1>2 is missing")
    return link
  }

  /** A kind of message such as `Append`, if there is one more word. */
  kindIfAny(): string | undefined {
    const kind = this.words.shift()
    if (kind !== undefined && !kinds.includes(kind)) throw new Error(`no message is called "${kind}"`)
    return kind
  }

  flag(name: string): boolean {
    const place = this.words.indexOf(name)
    if (place < 0) return false
    this.words.splice(place, 1)
    return true
  }

  option(name: string): string | undefined {
    const place = this.words.findIndex((word) => word.startsWith(`${name}=`))
    return place < 0 ? undefined : this.words.splice(place, 1)[0]!.slice(name.length + 1)
  }

  numberOption(name: string): number | undefined {
    const value = this.option(name)
    return value === undefined ? undefined : parsed(value, name)
  }

  numbersOption(name: string): ReadonlyArray<number> {
    return this.option(name)?.split(",").map((word) => parsed(word, name)) ?? []
  }

  end(): void {
    if (this.words.length > 0) throw new Error(`"${this.words.join(" ")}" means nothing here`)
  }

  private known(member: number): number {
    if (!this.script!.nodes.has(member)) throw new Error(`there is no member ${member}`)
    return member
  }
}

const parsed = (word: string, what: string): number => {
  if (!/^\d+$/.test(word)) throw new Error(`${what} is a number, not "${word}"`)
  return Number(word)
}
