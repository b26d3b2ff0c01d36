// Morph: two drawings, and what lies between them.

import type { Drawing } from '../backend'
import { button, element } from '../dom'
import { Latest } from '../latest'
import { Notice } from '../notice'
import { Picture, Tile } from '../picture'
import { Sheet } from '../sheet'
import type { Studio, View } from '../studio'
import { text } from '../text'
import { prefersStill } from '../theme'
import { fillButton, offerEncoder, slot, temperatureSlider } from '../tools'
import { centred, fitted } from '../units'

const STEPS = 25
const SHOWN = 9 // of them in the strip
const TRIP = 4000 // milliseconds from one end to the other

export function morphView(studio: Studio): View {
  const latest = new Latest()
  const notice = new Notice()
  const a = new Sheet(text.morph.from)
  const b = new Sheet(text.morph.to)
  const picture = new Picture()
  const share = element('input', {
    type: 'range',
    min: '0',
    max: '1',
    step: '0.01',
    value: '0',
    ariaLabel: text.morph.slider,
    disabled: true,
    oninput: () => {
      pause()
      goTo(+share.value)
    },
  })
  const percent = element('output', { className: 'temperature-value' })
  const play = button('', () => (frame ? pause() : prefersStill() ? stepOn() : start()), 'button primary')
  const tiles = Array.from({ length: SHOWN }, (_, i) => {
    const at = i / (SHOWN - 1)
    return new Tile(text.morph.tile(at), () => {
      pause()
      goTo(at)
    })
  })
  const strip = element(
    'div',
    { className: 'tiles strip', role: 'group', ariaLabel: text.morph.group },
    ...tiles.map((tile) => tile.element),
  )
  const fill = fillButton(studio, text.morph.examples, [a, b], notice)
  const between = element(
    'section',
    { className: 'slot', ariaLabel: text.morph.way },
    element('h3', { className: 'slot-name' }, text.morph.way),
    element('div', { className: 'stage' }, picture.svg, notice.element),
    element('div', { className: 'tools tools-small morph-slider' }, play, share, percent),
  )
  const view = element(
    'section',
    { className: 'view view-morph', ariaLabel: text.views.morph.title },
    element('div', { className: 'slots' }, slot(studio, a), between, slot(studio, b)),
    strip,
    element('div', { className: 'card row' }, temperatureSlider(studio)),
  )

  let way: Drawing[] = []
  let frame = 0
  let forward = true

  async function ask(): Promise<void> {
    const { backend, model, settings } = studio
    latest.stop()
    if (!model.conditional) return rest(() => offerEncoder(studio, notice))
    if (a.strokes.length === 0 || b.strokes.length === 0) return rest(() => notice.empty(text.morph.empty, fill))
    if (way.length === 0) notice.wait(text.draw.thinking)
    for (const tile of tiles) tile.wait()
    try {
      const [from, to] = [fitted(a.strokes, model), fitted(b.strokes, model)]
      const found = await latest.run((signal) =>
        backend.interpolate(model.name, from, to, STEPS, { ...settings, signal }),
      )
      if (!found) return
      way = found
      notice.clear()
      share.disabled = play.disabled = false
      tiles.forEach((tile, i) => tile.put(centred(way[Math.round((i * (STEPS - 1)) / (SHOWN - 1))]!)))
      goTo(+share.value)
      if (!frame && !prefersStill()) start()
      studio.announce(text.morph.ready)
    } catch (error) {
      rest(() => studio.failed(error, notice, () => void ask()))
    }
  }

  function rest(say: () => void): void {
    pause()
    way = []
    share.disabled = play.disabled = true
    picture.put([])
    for (const tile of tiles) tile.empty()
    percent.value = ''
    say()
  }

  function goTo(at: number): void {
    share.value = String(at)
    percent.value = text.morph.percent(at)
    share.setAttribute('aria-valuetext', text.morph.percent(at))
    const drawing = way[Math.round(at * (way.length - 1))]
    if (drawing) picture.put(centred(drawing))
    const near = Math.round(at * (SHOWN - 1))
    tiles.forEach((tile, i) => tile.element.classList.toggle('current', way.length > 0 && i === near))
  }

  function start(): void {
    if (way.length === 0) return
    play.textContent = text.morph.pause
    let last = performance.now()
    const tick = (now: number) => {
      const step = ((forward ? 1 : -1) * Math.max(0, Math.min(100, now - last))) / TRIP
      last = now
      const at = Math.min(1, Math.max(0, position + step))
      if (at === 0 || at === 1) forward = at === 0
      position = at
      goTo(at)
      frame = requestAnimationFrame(tick)
    }
    let position = +share.value
    frame = requestAnimationFrame(tick)
  }

  function pause(): void {
    cancelAnimationFrame(frame)
    frame = 0
    play.textContent = prefersStill() ? text.morph.step : text.morph.play
  }

  /** To the next picture of the strip, from the last to the first. */
  function stepOn(): void {
    const next = (Math.round(+share.value * (SHOWN - 1)) + 1) % SHOWN
    goTo(next / (SHOWN - 1))
  }

  pause()
  return {
    element: view,
    sheets: { from: a, to: b },
    show() {
      for (const sheet of [a, b]) {
        sheet.onPenDown = () => latest.stop()
        sheet.onChange = () => void ask()
      }
      void ask()
    },
    hide() {
      latest.stop()
      pause()
    },
    renew: () => void ask(),
    picture: () => ({
      strokes: picture.strokes,
      ...(way.length ? { frames: way.map((drawing) => centred(drawing)) } : {}),
    }),
    keys: { n: () => studio.change({ seed: studio.settings.seed + 1 }) },
  }
}
