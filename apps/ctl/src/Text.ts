/** Bytes for people: keys and values are bytes, and are shown as text where they are text. */

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The text, or `undefined` if the bytes are not UTF-8. */
export const utf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

const escapes: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" }

const hex = (byte: number): string => `\\x${byte.toString(16).padStart(2, "0")}`

/** One line whatever the bytes are: control characters, backslashes and what is not UTF-8 are escaped as in C. */
export const oneLine = (bytes: Uint8Array): string => {
  const text = utf8(bytes)
  return text === undefined
    ? Array.from(bytes, (byte) => byte >= 0x20 && byte < 0x7f && byte !== 0x5c ? String.fromCharCode(byte) : hex(byte))
      .join("")
    // oxlint-disable-next-line no-control-regex
    : text.replace(/[\u0000-\u001f\u007f\u0080-\u009f\\]/g, (found) => escapes[found] ?? hex(found.codePointAt(0)!))
}

/** A field of a JSON object: `name` with the text, or `nameBase64` for bytes that are not UTF-8. */
export const jsonField = (name: string, bytes: Uint8Array): Record<string, string> => {
  const text = utf8(bytes)
  return text === undefined ? { [`${name}Base64`]: Buffer.from(bytes).toString("base64") } : { [name]: text }
}
