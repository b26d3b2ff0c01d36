// Drawings out of files, without a server: Quick, Draw! ndjson, and SVG.

import { BackendError, type Drawing, type Line, type Point } from './backend'
import { text } from './text'

const MOST_BYTES = 5_000_000
const MOST_DRAWINGS = 200
const MOST_POINTS = 20_000
const SPACING = 2 // SVG curves are cut into steps of so many of the picture's 255 parts

export async function readInPage(name: string, bytes: ArrayBuffer): Promise<Drawing[]> {
  if (bytes.byteLength > MOST_BYTES) throw new BackendError(text.files.tooLarge(name))
  const content = new TextDecoder().decode(bytes)
  const drawings = /\.svg$/i.test(name) || looksLikeSvg(content) ? [readSvg(content)] : readNdjson(content)
  const found = drawings.filter((drawing) => drawing.lines.length > 0)
  if (found.length === 0) throw new BackendError(text.files.nothing(name))
  return found
}

export function looksLikeSvg(content: string): boolean {
  return /^\s*(<\?xml|<!--|<!doctype svg|<svg)/i.test(content)
}

/** One drawing a line: {"word": "cat", "drawing": [[[x, ...], [y, ...]], ...]}. */
export function readNdjson(content: string): Drawing[] {
  const rows = content.split('\n').filter((row) => row.trim() !== '')
  return rows.slice(0, MOST_DRAWINGS).map((row, i) => {
    const drawing = parseRow(row)
    if (!drawing) throw new BackendError(text.files.badLine(i + 1))
    return drawing
  })
}

function parseRow(row: string): Drawing | null {
  let value: unknown
  try {
    value = JSON.parse(row)
  } catch {
    return null
  }
  const { drawing, word } = (value ?? {}) as { drawing?: unknown; word?: unknown }
  if (!Array.isArray(drawing)) return null
  const lines: Line[] = []
  let points = 0
  for (const stroke of drawing) {
    if (!Array.isArray(stroke) || !Array.isArray(stroke[0]) || !Array.isArray(stroke[1])) return null
    const [xs, ys] = stroke as [unknown[], unknown[]]
    points += xs.length
    if (xs.length !== ys.length || points > MOST_POINTS) return null
    if (![...xs, ...ys].every((value) => typeof value === 'number' && Number.isFinite(value))) return null
    if (xs.length > 0) lines.push(xs.map((x, i): Point => [x as number, ys[i] as number]))
  }
  return { lines, ...(typeof word === 'string' ? { label: word } : {}) }
}

/** The outlines of all shapes that are not hidden; nothing in the file is loaded or run. */
export function readSvg(content: string): Drawing {
  const parsed = new DOMParser().parseFromString(content, 'image/svg+xml')
  if (parsed.querySelector('parsererror')) throw new BackendError(text.files.badSvg)
  const shapes = [...parsed.querySelectorAll('path, line, polyline, polygon, rect, circle, ellipse')]
  // measured in a picture of this page's own: only the shapes' geometry goes into it
  const stage = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  stage.setAttribute('viewBox', parsed.documentElement.getAttribute('viewBox') ?? '0 0 255 255')
  stage.setAttribute('class', 'measure')
  document.body.append(stage)
  try {
    const found = shapes.map((shape) => outline(shape, stage)).filter((shape) => shape.length > 0)
    const points = found.flat(2)
    if (points.length === 0) return { lines: [] }
    const xs = points.map(([x]) => x)
    const ys = points.map(([, y]) => y)
    const size = Math.max(spread(xs), spread(ys))
    if (!Number.isFinite(size) || size > 1e7) throw new BackendError(text.files.badSvg)
    return { lines: found.flat() }
  } finally {
    stage.remove()
  }
}

function spread(values: number[]): number {
  return values.reduce((a, b) => Math.max(a, b)) - values.reduce((a, b) => Math.min(a, b))
}

const GEOMETRY = 'd x1 y1 x2 y2 points x y width height rx ry cx cy r'.split(' ')

/** One line for each subpath. */
function outline(shape: Element, stage: SVGSVGElement): Line[] {
  const hidden = (element: Element) => element.getAttribute('display') === 'none'
  if (shape.closest('defs, clipPath, mask, symbol, pattern, marker')) return []
  for (let node: Element | null = shape; node; node = node.parentElement) if (hidden(node)) return []
  const path = shape.getAttribute('d')
  // a path of several subpaths becomes several lines: each begins with its own absolute move
  const parts = shape.localName === 'path' && path ? subpaths(path) : [null]
  return parts.map((d) => steps(shape, d, stage)).filter((line) => line.length > 0)
}

function subpaths(d: string): (string | null)[] {
  const pieces = d.match(/M[^M]*/g) // relative moves would need the end of the piece before: such a path stays whole
  return pieces && pieces.length > 1 && !/m/.test(d) ? pieces : [d]
}

function steps(shape: Element, d: string | null, stage: SVGSVGElement): Line {
  const copy = document.createElementNS('http://www.w3.org/2000/svg', shape.localName) as SVGGeometryElement
  for (const name of GEOMETRY) {
    const value = shape.getAttribute(name)
    if (value !== null) copy.setAttribute(name, value)
  }
  if (d !== null) copy.setAttribute('d', d)
  let parent: SVGElement = stage
  for (const transform of transforms(shape)) {
    const group = document.createElementNS('http://www.w3.org/2000/svg', 'g')
    group.setAttribute('transform', transform)
    parent.append(group)
    parent = group
  }
  parent.append(copy)
  const length = copy.getTotalLength()
  if (!Number.isFinite(length) || length <= 0) return []
  const view = stage.viewBox.baseVal
  const unit = (Math.max(view.width, view.height) || 255) / 255
  const count = Math.min(2000, Math.max(1, Math.ceil(length / (SPACING * unit))))
  const own = copy.getCTM()
  const base = stage.getCTM()
  const matrix = own && base ? base.inverse().multiply(own) : own
  const line: Line = []
  for (let i = 0; i <= count; i++) {
    const at = copy.getPointAtLength((length * i) / count)
    const moved = matrix ? at.matrixTransform(matrix) : at
    line.push([moved.x, moved.y])
  }
  return line
}

/** From the outermost to the shape's own. */
function transforms(shape: Element): string[] {
  const found: string[] = []
  for (let node: Element | null = shape; node; node = node.parentElement) {
    const transform = node.getAttribute('transform')
    if (transform) found.unshift(transform)
  }
  return found
}
