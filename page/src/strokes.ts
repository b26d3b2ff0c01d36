// Strokes of ink, and the geometry that prepares them.

import type { Line, Point, Row } from './backend'

/** A point of ink on the sheet; pressure is 0 to 1, 0.5 where the device says nothing of it. */
export type InkPoint = [x: number, y: number, pressure: number]

export interface Stroke {
  points: InkPoint[]
  by: 'person' | 'model'
}

export interface Box {
  left: number
  top: number
  right: number
  bottom: number
}

export const PRESSURE = 0.5 // of a mouse, and of the model

export function inked(lines: Line[], by: Stroke['by']): Stroke[] {
  return lines
    .filter((line) => line.length > 0)
    .map((line) => ({ by, points: line.map(([x, y]): InkPoint => [x, y, PRESSURE]) }))
}

export function linesOf(strokes: Stroke[]): Line[] {
  return strokes.map((stroke) => stroke.points.map(([x, y]): Point => [x, y]))
}

export function countPoints(lines: { length: number }[]): number {
  return lines.reduce((sum, line) => sum + line.length, 0)
}

/** Of all points; null where there is none. */
export function bounds(lines: Line[]): Box | null {
  if (!lines.some((line) => line.length > 0)) return null
  const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity }
  for (const line of lines) {
    for (const [x, y] of line) {
      box.left = Math.min(box.left, x)
      box.top = Math.min(box.top, y)
      box.right = Math.max(box.right, x)
      box.bottom = Math.max(box.bottom, y)
    }
  }
  return box
}

/** Moved and scaled uniformly into the middle of `box`; a dot is only moved. */
export function fitInto(lines: Line[], box: Box): Line[] {
  const from = bounds(lines)
  if (!from) return lines
  const width = from.right - from.left
  const height = from.bottom - from.top
  const room = Math.min(
    width > 0 ? (box.right - box.left) / width : Infinity,
    height > 0 ? (box.bottom - box.top) / height : Infinity,
  )
  const scale = Number.isFinite(room) ? room : 1
  const x0 = (box.left + box.right) / 2 - (scale * (from.left + from.right)) / 2
  const y0 = (box.top + box.bottom) / 2 - (scale * (from.top + from.bottom)) / 2
  return lines.map((line) => line.map(([x, y]): Point => [x0 + scale * x, y0 + scale * y]))
}

/** Ramer-Douglas-Peucker: points nearer than `epsilon` to the segment that replaces them are left out. */
export function simplify<P extends readonly [number, number, ...number[]]>(line: P[], epsilon: number): P[] {
  if (line.length < 3) return line
  const keep = new Uint8Array(line.length)
  keep[0] = keep[line.length - 1] = 1
  const open: [number, number][] = [[0, line.length - 1]]
  for (let span = open.pop(); span; span = open.pop()) {
    const [first, last] = span
    let farthest = -1
    let most = epsilon
    for (let i = first + 1; i < last; i++) {
      const distance = distanceToSegment(line[i]!, line[first]!, line[last]!)
      if (distance > most) {
        most = distance
        farthest = i
      }
    }
    if (farthest < 0) continue
    keep[farthest] = 1
    open.push([first, farthest], [farthest, last])
  }
  return line.filter((_, i) => keep[i])
}

type At = readonly [number, number, ...number[]]

export function distanceToSegment([x, y]: At, [ax, ay]: At, [bx, by]: At): number {
  const dx = bx - ax
  const dy = by - ay
  const square = dx * dx + dy * dy
  const share = square > 0 ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / square)) : 0
  return Math.hypot(x - ax - share * dx, y - ay - share * dy)
}

/** The lines that rows of offsets draw; the rows come bit by bit, the last line may still be growing. */
export class Pen {
  readonly lines: Line[] = []
  private lifted = true

  constructor(private at: Point = [0, 0]) {}

  add(rows: Row[]): void {
    for (const [dx, dy, pen] of rows) {
      this.at = [this.at[0] + dx, this.at[1] + dy]
      if (this.lifted) this.lines.push([])
      this.lines.at(-1)!.push(this.at)
      this.lifted = pen > 0
    }
  }
}

/** The first `count` points of a drawing. */
export function head(strokes: Stroke[], count: number): Stroke[] {
  const shown: Stroke[] = []
  for (const stroke of strokes) {
    if (count <= 0) break
    shown.push(count < stroke.points.length ? { ...stroke, points: stroke.points.slice(0, count) } : stroke)
    count -= stroke.points.length
  }
  return shown
}

/** As SVG path data, with straight lines. A stroke of one point becomes a dot: a line of no length with round ends. */
export function pathData(lines: Line[], digits = 1): string {
  const at = ([x, y]: Point) => `${+x.toFixed(digits)} ${+y.toFixed(digits)}`
  return lines
    .filter((line) => line.length > 0)
    .map((line) => `M${at(line[0]!)}L${(line.length > 1 ? line.slice(1) : line).map(at).join(' ')}`)
    .join('')
}
