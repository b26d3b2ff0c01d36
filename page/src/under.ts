// Under the pen: what the model expects of the next point, as clouds on the sheet and shares of the pen's states.

import type { Drawing, Mixture, Point } from './backend'
import { element } from './dom'
import { intentions } from './intention'
import { Latest } from './latest'
import { atTemperature } from './mixture'
import { Notice } from './notice'
import { paintMixture } from './paint'
import type { Stroke } from './strokes'
import type { Studio } from './studio'
import { text } from './text'
import { toggle } from './tools'
import { SHEET, MARGIN, linesToSheet, placed, sizeOf } from './units'

export class UnderThePen {
  readonly element: HTMLElement
  private readonly body = element('div', { className: 'under-body' })
  private readonly notice = new Notice()
  private readonly slider = element('input', { type: 'range', min: '0', value: '0', ariaLabel: text.under.step })
  private readonly sliderRow = element('label', { className: 'under-step' }, this.slider)
  private readonly at = element('output', { className: 'under-at' })
  private readonly bars = text.under.states.map((name) => new Bar(name))
  private readonly spoken = element('p', { className: 'unseen' })
  private readonly switch: HTMLLabelElement
  private readonly latest = new Latest()

  private mixtures: Mixture[] = []
  private points: Point[] = [] // on the sheet; the pen stands at points[i] before point i is drawn, points[0] is the corner
  private step = 0
  private following = true // the newest point; else the one that the person chose
  private asking = false
  private active = false
  private drawing: Drawing = { lines: [] }

  constructor(private readonly studio: Studio) {
    this.switch = toggle(text.under.show, studio.settings.under, (under) => studio.change({ under }))
    this.slider.oninput = () => {
      this.following = false
      this.goTo(+this.slider.value)
    }
    this.sliderRow.prepend(element('span', { className: 'under-head' }, text.under.step, this.at))
    const pen = element('p', { className: 'under-pen' }, text.under.pen)
    const explain = element('p', { className: 'under-explain' }, text.under.explain)
    const bars = this.bars.map((bar) => bar.element)
    this.body.append(this.notice.element, this.sliderRow, pen, ...bars, this.spoken, explain)
    this.element = element(
      'section',
      { className: 'card under', ariaLabel: text.under.title },
      element('h3', {}, text.under.title),
      this.switch,
      this.body,
    )
    document.addEventListener('settingschange', () => this.update())
    this.update()
  }

  /** What lies on the sheet, in the model's units. */
  show(drawing: Drawing): void {
    this.drawing = drawing
    this.following = true
    if (this.studio.settings.under) void this.ask()
  }

  /** While the answer grows: so many points of the drawing are to be seen. */
  follow(shown: number): void {
    if (this.following && this.studio.settings.under) this.goTo(shown)
  }

  /** While the pen is down: what the model expects now, one question at a time. */
  live(strokes: Stroke[]): void {
    if (!this.studio.settings.under || this.asking) return
    const drawing = placed(strokes, this.studio.model)
    // the pen is still down: once more the last point, and then what was expected in its place
    const last = drawing.lines.at(-1)
    last?.push(last.at(-1)!)
    this.asking = true
    void this.density(drawing, true).finally(() => (this.asking = false))
  }

  /** The sheet is shown in Draw again; in other views it belongs to them. */
  enter(): void {
    this.active = true
    this.update()
  }

  stop(): void {
    this.active = false
    this.latest.stop()
    this.forget()
    this.update()
  }

  private async ask(): Promise<void> {
    await this.density(this.drawing, false)
  }

  private async density(drawing: Drawing, down: boolean): Promise<void> {
    const { backend, model, settings } = this.studio
    const z = intentions(model, settings.seed)?.[0]
    if (drawing.lines.length === 0) return this.forget()
    if (this.mixtures.length === 0) this.notice.wait(text.under.waiting)
    try {
      const found = await this.latest.run((signal) => backend.density(model.name, drawing, z, signal))
      if (!found || !this.studio.settings.under) return
      this.notice.clear()
      this.mixtures = down ? found.slice(0, -1) : found
      this.points = [[MARGIN, MARGIN], ...linesToSheet(drawing.lines, model).flat()]
      this.slider.max = String(this.mixtures.length - 1)
      this.slider.disabled = false
      if (this.following || this.step >= this.mixtures.length) this.step = this.mixtures.length - 1
      this.goTo(this.step)
    } catch (error) {
      this.studio.failed(error, this.notice)
    }
  }

  private forget(): void {
    this.mixtures = []
    this.points = []
    this.step = 0
    this.slider.max = '0'
    this.slider.disabled = true
    this.goTo(0)
    this.notice.empty(text.under.empty)
  }

  private update(): void {
    const { under } = this.studio.settings
    const box = this.switch.querySelector('input')!
    box.checked = under
    this.body.hidden = !under
    const { sheet } = this.studio
    const shown = sheet.overlay !== null
    sheet.overlay = under && this.active ? (ctx, { cloud }) => this.paint(ctx, cloud) : null
    if (sheet.overlay && !shown) void this.ask()
    else this.goTo(this.step)
  }

  private goTo(step: number): void {
    this.step = Math.max(0, Math.min(step, this.mixtures.length - 1))
    const mixture = this.now
    this.slider.value = String(this.step)
    this.at.value = mixture ? text.under.at(this.step, this.mixtures.length - 1) : ''
    this.bars.forEach((bar, i) => bar.put(mixture ? mixture.q[i]! : 0))
    this.spoken.textContent = mixture ? this.inWords(mixture) : ''
    this.studio.sheet.refresh()
  }

  private get now(): Mixture | null {
    const mixture = this.mixtures[this.step]
    return mixture ? atTemperature(mixture, this.studio.settings.temperature) : null
  }

  private inWords(mixture: Mixture): string {
    const best = mixture.pi.indexOf(Math.max(...mixture.pi))
    const angle = Math.atan2(mixture.muY[best]!, mixture.muX[best]!)
    const direction = text.under.direction[((Math.round((4 * angle) / Math.PI) % 8) + 8) % 8]!
    const cloud = text.under.towards(direction, Math.round(100 * mixture.pi[best]!))
    const states = text.under.states.map((name, i) => `${name} ${percent(mixture.q[i]!)}`).join(', ')
    return text.under.overview(cloud, states)
  }

  private paint(ctx: CanvasRenderingContext2D, colour: string): void {
    const mixture = this.now
    const at = this.points[this.step]
    if (!mixture || !at) return
    paintMixture(ctx, mixture, at, (SHEET - 2 * MARGIN) / sizeOf(this.studio.model), colour)
    const next = this.points[this.step + 1]
    if (!next) return
    ctx.strokeStyle = colour // where it really went
    ctx.lineWidth = 3
    ctx.beginPath()
    ctx.arc(next[0], next[1], 9, 0, 2 * Math.PI)
    ctx.stroke()
  }
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`
}

/** A share as a bar with its name. */
class Bar {
  private readonly value = element('span', { className: 'bar-value' })
  private readonly fill = element('div', { className: 'meter-fill' })
  private readonly meter = element('div', { className: 'meter', role: 'meter' }, this.fill)
  readonly element: HTMLElement

  constructor(name: string) {
    this.meter.ariaLabel = name
    this.element = element('div', { className: 'bar' }, element('span', {}, name), this.meter, this.value)
  }

  put(share: number): void {
    this.fill.style.width = `${100 * share}%`
    this.meter.ariaValueNow = String(Math.round(100 * share))
    this.value.textContent = percent(share)
  }
}
