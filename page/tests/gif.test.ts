import { expect, test } from 'vitest'
import { type GifFrame, encodeGif } from '../src/gif'

const PALETTE: [number, number, number][] = Array.from({ length: 15 }, (_, i) => [i * 17, 255 - i * 17, i])

/** A reader of its own, by the specification: the frames, each laid over the one before. */
function decodeGif(bytes: Uint8Array): { width: number; height: number; frames: Uint8Array[]; delays: number[] } {
  const short = (at: number) => bytes[at]! | (bytes[at + 1]! << 8)
  expect(new TextDecoder().decode(bytes.slice(0, 6))).toBe('GIF89a')
  const [width, height] = [short(6), short(8)]
  const canvas = new Uint8Array(width * height)
  const frames: Uint8Array[] = []
  const delays: number[] = []
  let at = 13 + 3 * (2 << (bytes[10]! & 7))
  const skipBlocks = () => {
    while (bytes[at]) at += bytes[at]! + 1
    at++
  }
  for (;;) {
    const kind = bytes[at++]
    if (kind === 0x3b) break
    if (kind === 0x21) {
      if (bytes[at] === 0xf9) delays.push(10 * short(at + 3))
      at++
      skipBlocks()
      continue
    }
    expect(kind).toBe(0x2c)
    const [left, top, w, h] = [short(at), short(at + 2), short(at + 4), short(at + 6)]
    at += 9
    const depth = bytes[at++]!
    const data: number[] = []
    for (; bytes[at]; at += bytes[at]! + 1) data.push(...bytes.slice(at + 1, at + 1 + bytes[at]!))
    at++
    const pixels = unpackLzw(data, depth)
    expect(pixels).toHaveLength(w * h)
    pixels.forEach((value, i) => (canvas[(top + Math.floor(i / w)) * width + left + (i % w)] = value))
    frames.push(canvas.slice())
  }
  expect(at).toBe(bytes.length)
  return { width, height, frames, delays }
}

function unpackLzw(data: number[], depth: number): number[] {
  const clear = 1 << depth
  const out: number[] = []
  let table: number[][] = []
  let size = depth + 1
  let before: number[] | null = null
  let bit = 0
  for (;;) {
    let code = 0
    for (let i = 0; i < size; i++, bit++) code |= ((data[bit >> 3]! >> (bit & 7)) & 1) << i
    if (code === clear + 1) return out
    if (code === clear) {
      table = Array.from({ length: clear + 2 }, (_, i) => (i < clear ? [i] : []))
      size = depth + 1
      before = null
      continue
    }
    const entry: number[] = table[code] ?? [...before!, before![0]!]
    if (before && table.length < 4096) table.push([...before, entry[0]!])
    if (table.length === 1 << size && size < 12) size++
    out.push(...entry)
    before = entry
  }
}

function frame(width: number, height: number, seed: number): GifFrame {
  let state = seed
  const pixels = Uint8Array.from({ length: width * height }, (_, i) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return i % 7 < 3 ? 0 : (state >>> 16) % 15
  })
  return { pixels, delay: 40 + 10 * seed }
}

test('every pixel of every frame comes back, over more codes than the table holds', () => {
  const frames = [frame(150, 120, 1), frame(150, 120, 2), frame(150, 120, 3)]
  const back = decodeGif(encodeGif(150, 120, PALETTE, frames))
  expect([back.width, back.height]).toEqual([150, 120])
  expect(back.frames).toEqual(frames.map(({ pixels }) => pixels))
  expect(back.delays).toEqual([50, 60, 70])
})

test('of a frame that changed little, little is written', () => {
  const first = frame(150, 120, 1)
  const second = { pixels: first.pixels.slice(), delay: 40 }
  second.pixels[60 * 150 + 70] = 9
  const one = encodeGif(150, 120, PALETTE, [first])
  const three = encodeGif(150, 120, PALETTE, [first, second, second])
  expect(three.length - one.length).toBeLessThan(80)
  expect(decodeGif(three).frames[2]).toEqual(second.pixels)
})
