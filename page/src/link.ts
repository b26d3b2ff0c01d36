// The drawings and settings in an address: JSON, deflated, in base64url, after the "#". Nothing of it reaches a server.

import { type InkPoint, PRESSURE, type Stroke, simplify } from './strokes'

/** What a link holds. Drawings by the name of their sheet. */
export interface Desk {
  view: string
  model: string
  temperature: number
  seed: number
  sheets: Record<string, Stroke[]>
}

const MOST_BYTES = 2_000_000 // of the JSON: a link of a few kB must not unpack to gigabytes
const MOST_POINTS = 50_000
const FAR = 100_000 // no sheet is so large

export async function toLink(desk: Desk): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(pack(desk)))
  const deflated = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate-raw'))
  return base64url(new Uint8Array(await new Response(deflated).arrayBuffer()))
}

/** Null where it is not such a link: damaged, cut off, or by somebody who means harm. */
export async function fromLink(text: string): Promise<Desk | null> {
  try {
    const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream('deflate-raw'))
    return unpack(JSON.parse(await readText(stream)))
  } catch {
    return null
  }
}

// Packed: {v, view, model, t, seed, s: {name: [stroke]}}, a stroke {d: [x, y, dx, dy, ...], m?: 1, p?: [pressure 0..15]}

export function pack(desk: Desk): unknown {
  const sheets = Object.entries(desk.sheets).filter(([, strokes]) => strokes.length > 0)
  return {
    v: 1,
    view: desk.view,
    model: desk.model,
    t: desk.temperature,
    seed: desk.seed,
    s: Object.fromEntries(sheets.map(([name, strokes]) => [name, strokes.map(packStroke)])),
  }
}

function packStroke(stroke: Stroke): unknown {
  const points = simplify(stroke.points, 1)
  const d: number[] = []
  let [x0, y0] = [0, 0]
  for (const [x, y] of points) {
    const [rx, ry] = [Math.round(x), Math.round(y)]
    d.push(rx - x0, ry - y0)
    ;[x0, y0] = [rx, ry]
  }
  const pressed = points.some(([, , pressure]) => pressure !== PRESSURE)
  return {
    d,
    ...(stroke.by === 'model' ? { m: 1 } : {}),
    ...(pressed ? { p: points.map(([, , pressure]) => Math.round(pressure * 15)) } : {}),
  }
}

export function unpack(value: unknown): Desk | null {
  if (!isRecord(value) || value.v !== 1 || !isRecord(value.s)) return null
  const sheets: Record<string, Stroke[]> = {}
  let points = 0
  for (const [name, packed] of Object.entries(value.s)) {
    if (!Array.isArray(packed)) return null
    const strokes = packed.map(unpackStroke)
    if (strokes.includes(null)) return null
    sheets[name] = strokes.filter((stroke) => stroke !== null)
    points += sheets[name].reduce((sum, stroke) => sum + stroke.points.length, 0)
  }
  if (points > MOST_POINTS) return null
  return {
    view: typeof value.view === 'string' ? value.view : '',
    model: typeof value.model === 'string' ? value.model : '',
    temperature: isNumber(value.t) ? Math.min(1, Math.max(0.01, value.t)) : 0.4,
    seed: isNumber(value.seed) ? Math.min(2 ** 31, Math.max(0, Math.floor(value.seed))) : 0,
    sheets,
  }
}

function unpackStroke(value: unknown): Stroke | null {
  if (!isRecord(value) || !Array.isArray(value.d) || value.d.length < 2 || value.d.length % 2) return null
  if (!value.d.every(isNumber)) return null
  const pressures = Array.isArray(value.p) && value.p.every(isNumber) ? value.p : []
  const points: InkPoint[] = []
  let [x, y] = [0, 0]
  for (let i = 0; i < value.d.length; i += 2) {
    x += value.d[i]!
    y += value.d[i + 1]!
    if (Math.abs(x) > FAR || Math.abs(y) > FAR) return null
    const pressure = pressures[i / 2]
    points.push([x, y, pressure === undefined ? PRESSURE : Math.min(1, Math.max(0, pressure / 15))])
  }
  return { points, by: value.m === 1 ? 'model' : 'person' }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

async function readText(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  const reader = stream.getReader()
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += decoder.decode(part.value, { stream: true })
    if (text.length > MOST_BYTES) {
      await reader.cancel()
      throw new Error('too long')
    }
  }
  return text
}

function base64url(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  return Uint8Array.from(binary, (c) => c.charCodeAt(0))
}
