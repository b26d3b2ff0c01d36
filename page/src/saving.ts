// A drawing as a file: SVG, PNG, GIF, ndjson.

import type { Line } from './backend'
import { element } from './dom'
import { encodeGif } from './gif'
import { type Colours, LINE_WIDTH, paint } from './paint'
import { around } from './picture'
import { type Box, type Stroke, countPoints, fitInto, head, linesOf, pathData } from './strokes'

export type Format = 'svg' | 'png' | 'gif' | 'ndjson'

const PAPER: RGB = [255, 255, 255]
const INK: RGB = [27, 27, 31]
const MODEL: RGB = [194, 65, 12]
const COLOURS: Colours = { ink: rgb(INK), model: rgb(MODEL), cloud: rgb(INK) }
const PNG_SIDE = 1200
const GIF_SIDE = 400
const GIF_FRAMES = 48
const GIF_DELAY = 60 // milliseconds
const GIF_REST = 1600 // on the whole drawing
const QUICKDRAW = 255

type RGB = [number, number, number]

function rgb([r, g, b]: RGB): string {
  return `rgb(${r}, ${g}, ${b})`
}

/** `frames` are whole drawings shown one after the other; without them the GIF shows how the drawing was drawn. */
export async function encode(format: Format, strokes: Stroke[], word: string, frames?: Stroke[][]): Promise<Blob> {
  if (format === 'svg') return new Blob([toSvg(strokes)], { type: 'image/svg+xml' })
  if (format === 'ndjson') return new Blob([toNdjson(linesOf(strokes), word)], { type: 'application/x-ndjson' })
  if (format === 'png') return toPng(strokes)
  return new Blob([toGif(frames ?? replayFrames(strokes), frames !== undefined) as BlobPart], { type: 'image/gif' })
}

export function toSvg(strokes: Stroke[]): string {
  const { left, top, right, bottom } = around(linesOf(strokes))
  const box = [left, top, right - left, bottom - top].map((value) => +value.toFixed(1)).join(' ')
  const width = (LINE_WIDTH * (right - left)) / 1000
  const paths = strokes.map(
    (stroke) => `<path d="${pathData(linesOf([stroke]))}" stroke="${hex(stroke.by === 'model' ? MODEL : INK)}"/>\n`,
  )
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${box}" fill="none" stroke-width="${+width.toFixed(2)}" ` +
    `stroke-linecap="round" stroke-linejoin="round">\n${paths.join('')}</svg>\n`
  )
}

function hex(colour: RGB): string {
  return `#${colour.map((value) => value.toString(16).padStart(2, '0')).join('')}`
}

/** One line in the form of Quick, Draw!, within 0 to 255. */
export function toNdjson(lines: Line[], word: string): string {
  const drawing = fitInto(lines, { left: 0, top: 0, right: QUICKDRAW, bottom: QUICKDRAW }).map((line) => [
    line.map(([x]) => +x.toFixed(2)),
    line.map(([, y]) => +y.toFixed(2)),
  ])
  return `${JSON.stringify({ word, drawing })}\n`
}

async function toPng(strokes: Stroke[]): Promise<Blob> {
  const ctx = paper(PNG_SIDE, around(linesOf(strokes)), strokes)
  return new Promise((resolve, reject) =>
    ctx.canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('no picture'))), 'image/png'),
  )
}

export function replayFrames(strokes: Stroke[]): Stroke[][] {
  const length = countPoints(strokes.map((stroke) => stroke.points))
  const count = Math.min(GIF_FRAMES, length)
  return Array.from({ length: count }, (_, i) => head(strokes, Math.ceil((length * (i + 1)) / count)))
}

/** To and fro where the frames are pictures of their own. */
function toGif(frames: Stroke[][], pingPong: boolean): Uint8Array {
  const shown = pingPong ? [...frames, ...frames.slice(1, -1).reverse()] : frames
  const box = around(frames.flatMap((frame) => linesOf(frame)))
  const [ink, model] = [shades(INK), shades(MODEL).slice(1)]
  const palette = [...ink, ...model]
  const pictures = shown.map((strokes, i) => {
    const { data } = paper(GIF_SIDE, box, strokes).getImageData(0, 0, GIF_SIDE, GIF_SIDE)
    const rest = pingPong ? 2 * GIF_DELAY : i === shown.length - 1 ? GIF_REST : GIF_DELAY
    return { pixels: indexed(data, palette), delay: rest }
  })
  return encodeGif(GIF_SIDE, GIF_SIDE, palette, pictures)
}

/** From paper to the colour, for soft edges. */
function shades(colour: RGB): RGB[] {
  return Array.from({ length: 8 }, (_, i) => {
    const at = (k: number) => Math.round(PAPER[k]! + ((colour[k]! - PAPER[k]!) * i) / 7)
    return [at(0), at(1), at(2)]
  })
}

function indexed(data: Uint8ClampedArray, palette: RGB[]): Uint8Array {
  const known = new Map<number, number>()
  const pixels = new Uint8Array(data.length / 4)
  for (let i = 0; i < pixels.length; i++) {
    const [r, g, b] = [data[4 * i]!, data[4 * i + 1]!, data[4 * i + 2]!]
    const key = (r << 16) | (g << 8) | b
    let index = known.get(key)
    if (index === undefined) known.set(key, (index = nearest(palette, [r, g, b])))
    pixels[i] = index
  }
  return pixels
}

function nearest(palette: RGB[], [r, g, b]: RGB): number {
  const distances = palette.map((c) => (c[0] - r) ** 2 + (c[1] - g) ** 2 + (c[2] - b) ** 2)
  return distances.indexOf(Math.min(...distances))
}

function paper(side: number, box: Box, strokes: Stroke[]): CanvasRenderingContext2D {
  const canvas = element('canvas', { width: side, height: side })
  const ctx = canvas.getContext('2d', { willReadFrequently: true })!
  ctx.fillStyle = rgb(PAPER)
  ctx.fillRect(0, 0, side, side)
  const scale = side / (box.right - box.left)
  ctx.setTransform(scale, 0, 0, scale, -scale * box.left, -scale * box.top)
  paint(ctx, strokes, COLOURS, (LINE_WIDTH * (box.right - box.left)) / 1000)
  return ctx
}

export function download(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob)
  element('a', { href: address, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(address), 60_000)
}
