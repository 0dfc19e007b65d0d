// Text as bytes in UTF-8, and back. QuickJS has no TextEncoder and no TextDecoder; what it has for addresses does it.

/** The bytes of a text. */
export function bytes(text) {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (byte) => byte.charCodeAt(0));
}

/** The text that bytes are. Where they are none, the job is refused. */
export function text(bytes) {
  const each = Array.from(bytes, (byte) => String.fromCharCode(byte));
  try {
    return decodeURIComponent(escape(each.join("")));
  } catch {
    throw { code: 1, reason: "this is not UTF-8" };
  }
}
