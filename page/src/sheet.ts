// A sheet of paper: it takes the strokes of mouse, pen and finger, and shows them with the model's answer over them.

import type { Answer } from './answer'
import { element } from './dom'
import { History } from './history'
import { type Colours, paint, themeColours } from './paint'
import { type Box, type InkPoint, PRESSURE, type Stroke, countPoints, head, linesOf } from './strokes'
import { text } from './text'
import { prefersStill } from './theme'
import { WHOLE_SHEET, grown } from './units'

const CLOSEST = 1 // sheet units between two points of ink: less is the hand's trembling
const REPLAY = 140 // points a second
const LONGEST_REPLAY = 6 // seconds
const MOST_PIXELS = 2400 // of a canvas's side

export type Cause = 'pen' | 'edit'

export class Sheet {
  readonly element: HTMLElement
  /** What the person drew and took. */
  onChange: (cause: Cause) => void = () => {}
  onPenDown: () => void = () => {}
  /** While the pen is down: the stroke so far. */
  onPenMove: (stroke: Stroke) => void = () => {}
  onReplay: (running: boolean) => void = () => {}
  /** Called while the answer grows. */
  onGrow: () => void = () => {}
  /** What a view lays over the ink. */
  overlay: ((ctx: CanvasRenderingContext2D, colours: Colours) => void) | null = null

  private readonly history = new History<Stroke[]>([])
  private readonly ink = element('canvas', { className: 'sheet-ink', ariaHidden: 'true' })
  private readonly live = element('canvas', { className: 'sheet-live' })
  private paper = WHOLE_SHEET // what is shown: more than the sheet where an answer leaves it
  private colours: Colours = { ink: '#000', model: '#c00', cloud: '#00c' }
  private answerNow: Answer | null = null
  private stroke: Stroke | null = null
  private pointer: number | null = null
  private frame = 0
  private lastFrame = 0
  private replayed: number | null = null // points shown of a replay

  constructor(readonly name: string) {
    this.live.setAttribute('role', 'img')
    this.element = element('div', { className: 'sheet' }, this.ink, this.live)
    new ResizeObserver(() => this.resize()).observe(this.element)
    document.addEventListener('themechange', () => this.redraw())
    this.live.addEventListener('pointerdown', (event) => this.down(event))
    this.live.addEventListener('pointermove', (event) => this.move(event))
    this.live.addEventListener('pointerup', (event) => this.up(event))
    this.live.addEventListener('pointercancel', (event) => this.cancel(event))
    this.live.addEventListener('contextmenu', (event) => event.preventDefault())
    // on the document, for the canvas may be gone: a key has changed the view while the pen was down
    document.addEventListener('lostpointercapture', (event) => this.cancel(event))
  }

  // -- what is on it

  get strokes(): Stroke[] {
    return this.history.now
  }
  get canUndo(): boolean {
    return this.history.canUndo
  }
  get canRedo(): boolean {
    return this.history.canRedo
  }
  get drawing(): boolean {
    return this.stroke !== null
  }

  /** A step that can be undone. */
  put(strokes: Stroke[]): void {
    this.history.do(strokes)
    this.changed('edit')
  }

  clear(): void {
    if (this.strokes.length > 0) this.put([])
  }

  undo(): void {
    if (this.history.undo()) this.changed('edit')
  }

  redo(): void {
    if (this.history.redo()) this.changed('edit')
  }

  get answer(): Answer | null {
    return this.answerNow
  }
  set answer(answer: Answer | null) {
    this.answerNow = answer
    if (answer && prefersStill()) answer.showAll()
    if (!answer) this.lay(this.needed())
    this.refresh()
  }

  /** Its view is out of sight: nobody is told of what happens to it. */
  quiet(): void {
    this.onChange = this.onPenDown = this.onPenMove = this.onGrow = () => {}
  }

  private changed(cause: Cause): void {
    this.stopReplay()
    this.answerNow = null
    this.lay(this.needed(cause === 'edit' ? WHOLE_SHEET : this.paper))
    if (cause === 'pen') this.refresh()
    else this.redraw()
    this.onChange(cause)
    this.element.dispatchEvent(new Event('sheetchange', { bubbles: true }))
  }

  private tell(): void {
    const label = text.sheet.label(this.name, this.strokes.length, this.answerNow?.lines.length ?? 0)
    if (this.live.ariaLabel !== label) this.live.ariaLabel = label
  }

  // -- the pen

  private down(event: PointerEvent): void {
    if (this.pointer !== null || event.button !== 0 || !event.isPrimary) return
    event.preventDefault()
    this.stopReplay()
    this.pointer = event.pointerId
    this.live.setPointerCapture(event.pointerId)
    this.stroke = { by: 'person', points: [this.at(event)] }
    this.onPenDown()
    this.refresh()
  }

  private move(event: PointerEvent): void {
    if (event.pointerId !== this.pointer || !this.stroke) return
    const events = event.getCoalescedEvents?.() ?? []
    for (const one of events.length ? events : [event]) this.add(this.at(one))
    this.onPenMove(this.stroke)
    this.refresh()
  }

  private up(event: PointerEvent): void {
    if (event.pointerId !== this.pointer || !this.stroke) return
    performance.mark('pen-lifted')
    this.add(this.at(event))
    const stroke = this.stroke
    this.stroke = this.pointer = null
    this.history.do([...this.strokes, stroke])
    paint(this.ink.getContext('2d')!, [stroke], this.colours) // one stroke more: the others are dry
    this.changed('pen')
  }

  /** The browser took the finger for something else, such as zooming: there was no stroke. */
  private cancel(event: PointerEvent): void {
    if (event.pointerId !== this.pointer) return
    this.stroke = this.pointer = null
    if (!this.answerNow) this.lay(this.needed())
    this.redraw()
  }

  private add(point: InkPoint): void {
    const points = this.stroke!.points
    const last = points.at(-1)!
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) >= CLOSEST) points.push(point)
  }

  private at(event: PointerEvent): InkPoint {
    const box = this.live.getBoundingClientRect()
    const pressed = event.pointerType === 'mouse' || event.pressure === 0 || event.pressure === 1
    const { left, top, right } = this.paper
    const unit = (right - left) / box.width
    return [
      left + unit * (event.clientX - box.left),
      top + unit * (event.clientY - box.top),
      pressed ? PRESSURE : event.pressure,
    ]
  }

  // -- replay

  get replaying(): boolean {
    return this.replayed !== null
  }

  replay(): void {
    if (this.strokes.length === 0 && !this.answerNow) return
    this.answerNow?.showAll()
    this.replayed = 0
    this.onReplay(true)
    this.redraw()
  }

  stopReplay(): void {
    if (this.replayed === null) return
    this.replayed = null
    this.redraw()
    this.onReplay(false)
  }

  // -- painting: ink that is dry on one canvas, all that moves on the other

  private resize(): void {
    const side = Math.min(MOST_PIXELS, Math.round(this.element.clientWidth * devicePixelRatio))
    if (side === 0 || side === this.live.width) return
    for (const canvas of [this.ink, this.live]) canvas.width = canvas.height = side
    this.redraw()
  }

  redraw(): void {
    this.colours = themeColours()
    this.paintInk()
    this.paintLive()
    this.refresh()
  }

  private paintInk(): void {
    const ctx = this.cleared(this.ink)
    if (this.replayed === null) paint(ctx, asInk(this.strokes), this.colours)
  }

  /** The paper that the person's drawing needs. */
  private needed(from = WHOLE_SHEET): Box {
    return grown(from, linesOf(this.strokes))
  }

  /** Not under a pen that is down. */
  private lay(paper: Box): void {
    if (paper === this.paper || this.stroke) return
    this.paper = paper
    this.paintInk()
  }

  /** Paints what moves before the next frame, and on until nothing moves. */
  refresh(): void {
    if (this.frame) return
    this.lastFrame = performance.now()
    this.frame = requestAnimationFrame((now) => this.tick(now))
  }

  private tick(now: number): void {
    this.frame = 0
    const passed = Math.max(0, Math.min(100, now - this.lastFrame))
    this.lastFrame = now
    let moves = false
    if (this.replayed !== null) moves = this.advanceReplay(passed)
    else if (this.answerNow) {
      const before = this.answerNow.shownPoints
      if (prefersStill()) this.answerNow.showAll()
      moves = this.answerNow.advance(passed)
      if (before === 0 && this.answerNow.shownPoints > 0) performance.mark('first-stroke')
      this.onGrow()
    }
    if (this.answerNow) this.lay(grown(this.paper, linesOf(this.answerNow.visible())))
    this.paintLive()
    this.tell()
    if (moves && !this.frame) this.frame = requestAnimationFrame((next) => this.tick(next))
  }

  private advanceReplay(passed: number): boolean {
    const all = this.everything()
    const length = countPoints(all.map((stroke) => stroke.points))
    const pace = Math.max(REPLAY, length / LONGEST_REPLAY)
    this.replayed! += (pace * passed) / 1000
    if (this.replayed! < length) return true
    this.stopReplay()
    return false
  }

  /** The person's strokes and the whole answer. */
  everything(): Stroke[] {
    return [...asInk(this.strokes), ...(this.answerNow?.strokes() ?? [])]
  }

  private paintLive(): void {
    const ctx = this.cleared(this.live)
    if (this.replayed !== null) {
      paint(ctx, head(this.everything(), Math.floor(this.replayed)), this.colours)
      return
    }
    this.overlay?.(ctx, this.colours)
    if (this.answerNow) paint(ctx, this.answerNow.visible(), this.colours)
    if (this.stroke) paint(ctx, [this.stroke], this.colours)
  }

  private cleared(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
    const ctx = canvas.getContext('2d')!
    ctx.setTransform(1, 0, 0, 1, 0, 0)
    ctx.clearRect(0, 0, canvas.width, canvas.height)
    const { left, top, right, bottom } = this.paper
    ctx.scale(canvas.width / (right - left), canvas.height / (bottom - top))
    ctx.translate(-left, -top)
    return ctx
  }
}

/** What was taken is the person's drawing now. */
export function asInk(strokes: Stroke[]): Stroke[] {
  return strokes.map((stroke) => (stroke.by === 'person' ? stroke : { ...stroke, by: 'person' }))
}
