// The model's answer while it grows: points arrive in bursts, and are shown at a pace that the eye can follow.

import type { Line, Point, Row } from './backend'
import { Pen, type Stroke, countPoints, head, inked } from './strokes'

const PACE = 110 // points a second, at least
const LONGEST = 1600 // milliseconds that what has arrived may still take
const AT_ONCE = 2 // points that are there in the first moment: a stroke needs two

export class Answer {
  private readonly pen: Pen
  private shown = 0
  ended = false // no more points will come

  /** `at` is the last given point, in the model's units; `place` moves points from there onto the sheet. */
  constructor(
    at: Point,
    readonly place: (point: Point) => Point,
  ) {
    this.pen = new Pen(at)
  }

  /** An answer that is already there, to be shown from its first point on. */
  static of(lines: Line[], place: (point: Point) => Point): Answer {
    const answer = new Answer([0, 0], place)
    answer.pen.lines.push(...lines)
    answer.ended = true
    return answer
  }

  add(rows: Row[], ended: boolean): void {
    this.pen.add(rows)
    this.ended ||= ended
  }

  /** Lets `milliseconds` pass; true while there is more to show. */
  advance(milliseconds: number): boolean {
    const left = this.length - this.shown
    if (left > 0) {
      const pace = Math.max(PACE, (1000 * left) / LONGEST)
      this.shown = Math.min(this.length, Math.max(AT_ONCE, this.shown + (pace * milliseconds) / 1000))
    }
    return this.shown < this.length || !this.ended
  }

  showAll(): void {
    this.shown = this.length
  }

  /** Everything that arrived, in the model's units. */
  get lines(): Line[] {
    return this.pen.lines
  }

  get length(): number {
    return countPoints(this.pen.lines)
  }
  get shownPoints(): number {
    return Math.floor(this.shown)
  }
  get finished(): boolean {
    return this.ended && this.shown >= this.length
  }

  /** The same, on the sheet. */
  strokes(): Stroke[] {
    return inked(
      this.pen.lines.map((line) => line.map(this.place)),
      'model',
    )
  }

  /** What has been shown so far. */
  visible(): Stroke[] {
    return head(this.strokes(), this.shownPoints)
  }
}
