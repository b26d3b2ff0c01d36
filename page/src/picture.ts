// A small picture of a drawing that can be clicked.

import type { Line } from './backend'
import { element, svg } from './dom'
import { type Box, type Stroke, bounds, linesOf, pathData } from './strokes'
import { SHEET, WHOLE_SHEET } from './units'

/** Two paths, one for each hand; the theme colours them. */
export class Picture {
  private readonly ink = svg('path', { class: 'ink' })
  private readonly model = svg('path', { class: 'model' })
  readonly svg = svg('svg', { class: 'picture', 'aria-hidden': 'true', viewBox: `0 0 ${SHEET} ${SHEET}` })
  strokes: Stroke[] = []

  constructor() {
    this.svg.append(this.ink, this.model)
  }

  /** `frame` is what the picture shows; without it, the drawing with a margin. */
  put(strokes: Stroke[], frame: Box = around(linesOf(strokes))): void {
    this.strokes = strokes
    const { left, top, right, bottom } = frame
    const viewBox = `${left} ${top} ${right - left} ${bottom - top}`
    if (this.svg.getAttribute('viewBox') !== viewBox) this.svg.setAttribute('viewBox', viewBox)
    const of = (hand: Stroke['by']) => pathData(linesOf(strokes.filter((stroke) => stroke.by === hand)))
    this.ink.setAttribute('d', of('person'))
    this.model.setAttribute('d', of('model'))
  }
}

/** A square around all points, with a tenth of margin. */
export function around(lines: Line[]): Box {
  const box = bounds(lines) ?? WHOLE_SHEET
  const half = 0.6 * Math.max(box.right - box.left, box.bottom - box.top, 1)
  const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2]
  return { left: x - half, top: y - half, right: x + half, bottom: y + half }
}

export class Tile {
  readonly picture = new Picture()
  readonly element: HTMLButtonElement

  private readonly remark = element('span', { className: 'tile-remark', hidden: true })

  constructor(
    private readonly label: string,
    onclick: () => void,
    caption = '',
  ) {
    this.element = element('button', { className: 'tile', type: 'button', ariaLabel: label, disabled: true, onclick })
    this.element.append(this.picture.svg, this.remark)
    if (caption) this.element.append(element('span', { className: 'tile-caption' }, caption))
  }

  put(strokes: Stroke[], frame?: Box): void {
    this.picture.put(strokes, frame)
    this.element.disabled = strokes.length === 0
    this.element.classList.remove('waiting')
  }

  /** Instead of a picture that would show nothing new. */
  note(sentence: string): void {
    this.remark.textContent = sentence
    this.element.ariaLabel = sentence ? `${this.label}: ${sentence}` : this.label
    this.remark.hidden = sentence === ''
  }

  wait(): void {
    this.note('')
    this.element.classList.add('waiting')
  }

  empty(): void {
    this.note('')
    this.put([])
  }
}
