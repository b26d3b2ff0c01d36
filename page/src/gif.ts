// An animated GIF (GIF89a), written whole: one palette, and of each frame only the rectangle that changed.

export interface GifFrame {
  pixels: Uint8Array // one palette index each, row by row
  delay: number // milliseconds
}

type Rectangle = { x: number; y: number; width: number; height: number }

/** Loops for ever. The palette has 2 to 256 colours. */
export function encodeGif(
  width: number,
  height: number,
  palette: [number, number, number][],
  frames: GifFrame[],
): Uint8Array {
  const bits = Math.max(1, Math.ceil(Math.log2(palette.length)))
  const out: number[] = []
  const short = (value: number) => out.push(value & 255, (value >> 8) & 255)
  const ascii = (value: string) => out.push(...[...value].map((c) => c.charCodeAt(0)))

  ascii('GIF89a')
  short(width)
  short(height)
  out.push(0x80 | (bits - 1), 0, 0)
  for (let i = 0; i < 1 << bits; i++) out.push(...(palette[i] ?? [0, 0, 0]))
  out.push(0x21, 0xff, 11)
  ascii('NETSCAPE2.0')
  out.push(3, 1, 0, 0, 0)

  let before: Uint8Array | null = null
  for (const { pixels, delay } of frames) {
    const part = changed(before, pixels, width, height)
    out.push(0x21, 0xf9, 4, 1 << 2) // leave in place
    short(Math.round(delay / 10))
    out.push(0, 0, 0x2c)
    short(part.x)
    short(part.y)
    short(part.width)
    short(part.height)
    out.push(0)
    const depth = Math.max(2, bits)
    out.push(depth)
    const data = compress(cut(pixels, width, part), depth)
    for (let start = 0; start < data.length; start += 255) {
      const block = data.slice(start, start + 255)
      out.push(block.length, ...block)
    }
    out.push(0)
    before = pixels
  }
  out.push(0x3b)
  return Uint8Array.from(out)
}

/** The smallest rectangle outside which the two are alike; one pixel where nothing changed. */
function changed(before: Uint8Array | null, now: Uint8Array, width: number, height: number): Rectangle {
  if (!before) return { x: 0, y: 0, width, height }
  let [left, top, right, bottom] = [width, height, -1, -1]
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (before[i] === now[i]) continue
      left = Math.min(left, x)
      right = Math.max(right, x)
      top = Math.min(top, y)
      bottom = y
    }
  }
  if (right < 0) return { x: 0, y: 0, width: 1, height: 1 }
  return { x: left, y: top, width: right - left + 1, height: bottom - top + 1 }
}

function cut(pixels: Uint8Array, width: number, part: Rectangle): Uint8Array {
  const out = new Uint8Array(part.width * part.height)
  for (let y = 0; y < part.height; y++) {
    const start = (part.y + y) * width + part.x
    out.set(pixels.subarray(start, start + part.width), y * part.width)
  }
  return out
}

/** LZW with codes that grow from depth + 1 to 12 bits, least bit first. */
function compress(pixels: Uint8Array, depth: number): number[] {
  const clear = 1 << depth
  const out: number[] = []
  let held = 0
  let heldBits = 0
  let size = depth + 1
  let codes = new Map<number, number>() // (code of what stands so far) * 256 + next pixel
  let next = clear + 2
  const put = (code: number) => {
    held |= code << heldBits
    heldBits += size
    for (; heldBits >= 8; heldBits -= 8, held >>>= 8) out.push(held & 255)
  }

  put(clear)
  let prefix = pixels[0]!
  for (let i = 1; i < pixels.length; i++) {
    const key = prefix * 256 + pixels[i]!
    const known = codes.get(key)
    if (known !== undefined) {
      prefix = known
      continue
    }
    put(prefix)
    if (next < 4096) {
      codes.set(key, next)
      if (next === 1 << size) size++
      next++
    } else {
      put(clear)
      codes = new Map()
      size = depth + 1
      next = clear + 2
    }
    prefix = pixels[i]!
  }
  put(prefix)
  put(clear + 1)
  if (heldBits > 0) out.push(held & 255)
  return out
}
