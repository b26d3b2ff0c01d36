// Between the sheet's units and a model's.
//
// A sheet is SHEET by SHEET. A margin of 10 % all round is left free: the square inside it is 0 to `size` in the model's
// units, where the drawings that it learned from lay.

import type { Drawing, Line, Model, Point } from './backend'
import { type Box, type Stroke, bounds, countPoints, fitInto, inked, linesOf, simplify } from './strokes'

export const SHEET = 1000
export const MARGIN = 100
export const INSIDE: Box = { left: MARGIN, top: MARGIN, right: SHEET - MARGIN, bottom: SHEET - MARGIN }
export const WHOLE_SHEET: Box = { left: 0, top: 0, right: SHEET, bottom: SHEET }

const USUAL_SIZE = 255 // of the drawings of Quick, Draw!, which a model of unknown size most likely saw
const EPSILON = 2 / 255 // how far their points were thinned out, as a share of the size
const EDGE = SHEET / 40 // that stays free around what leaves the sheet
const FARTHEST = 2 * SHEET // from the sheet to what is still shown
const ROOM = 0.75 // share of the longest drawing that what is given may fill: the rest is for the answer

type Sized = Pick<Model, 'size' | 'max_length'>

export function sizeOf(model: Sized): number {
  return model.size > 0 ? model.size : USUAL_SIZE
}

function scaleOf(model: Sized): number {
  return sizeOf(model) / (SHEET - 2 * MARGIN)
}

export function toModel([x, y]: Point, model: Sized): Point {
  const scale = scaleOf(model)
  return [(x - MARGIN) * scale, (y - MARGIN) * scale]
}

export function toSheet([x, y]: Point, model: Sized): Point {
  const scale = scaleOf(model)
  return [x / scale + MARGIN, y / scale + MARGIN]
}

export function linesToSheet(lines: Line[], model: Sized): Line[] {
  return lines.map((line) => line.map((point) => toSheet(point, model)))
}

/** A drawing of the model's, where it drew it. */
export function strokesOf(drawing: Drawing, model: Sized): Stroke[] {
  return inked(linesToSheet(drawing.lines, model), 'model')
}

/** A drawing in any units, in the middle of the sheet. */
export function centred(drawing: Drawing, by: Stroke['by'] = 'model'): Stroke[] {
  return inked(fitInto(drawing.lines, INSIDE), by)
}

/** `paper` itself where it holds all points, else a larger square, as far as FARTHEST: a model may go on beyond the edge. */
export function grown(paper: Box, lines: Line[]): Box {
  const box = bounds(lines)
  if (!box) return paper
  const within = (x: number) => Math.max(-FARTHEST, Math.min(SHEET + FARTHEST, x))
  const left = box.left < paper.left ? Math.min(paper.left, within(box.left - EDGE)) : paper.left
  const top = box.top < paper.top ? Math.min(paper.top, within(box.top - EDGE)) : paper.top
  const right = box.right > paper.right ? Math.max(paper.right, within(box.right + EDGE)) : paper.right
  const bottom = box.bottom > paper.bottom ? Math.max(paper.bottom, within(box.bottom + EDGE)) : paper.bottom
  if (left === paper.left && top === paper.top && right === paper.right && bottom === paper.bottom) return paper
  const side = Math.max(right - left, bottom - top)
  const [x, y] = [(left + right - side) / 2, (top + bottom - side) / 2]
  return { left: x, top: y, right: x + side, bottom: y + side }
}

/** As many points as the model is used to: freehand lines have ten times as many. At a place of its own on the sheet. */
export function placed(strokes: Stroke[], model: Sized): Drawing {
  return {
    lines: thinned(
      linesOf(strokes).map((line) => line.map((point) => toModel(point, model))),
      model,
    ),
  }
}

/** The same, moved to the corner and as large as what the model learned from: for a drawing that is complete. */
export function fitted(strokes: Stroke[], model: Sized): Drawing {
  const size = sizeOf(model)
  const lines = fitInto(linesOf(strokes), { left: 0, top: 0, right: size, bottom: size })
  const box = corner(lines)
  return {
    lines: thinned(
      lines.map((line) => line.map(([x, y]): Point => [x - box[0], y - box[1]])),
      model,
    ),
  }
}

function corner(lines: Line[]): Point {
  const points = lines.flat()
  return points.length ? [least(points.map(([x]) => x)), least(points.map(([, y]) => y))] : [0, 0]
}

function least(values: number[]): number {
  return values.reduce((a, b) => Math.min(a, b))
}

function thinned(lines: Line[], model: Sized): Line[] {
  const most = Math.max(2, Math.floor(ROOM * model.max_length))
  let epsilon = EPSILON * sizeOf(model)
  for (let tries = 0; tries < 24; tries++, epsilon *= 1.4) {
    const simple = lines.map((line) => simplify(line, epsilon))
    if (countPoints(simple) <= most) return simple
  }
  // even two points a stroke are too many: the model sees the latest strokes
  const simple = lines.map((line) => simplify(line, epsilon))
  while (simple.length > 1 && countPoints(simple) > most) simple.shift()
  return simple
}
