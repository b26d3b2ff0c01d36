// Redraw: what a conditional model sees in the drawing, from calm to wild.

import { button, element } from '../dom'
import { Latest } from '../latest'
import { Notice } from '../notice'
import { Tile } from '../picture'
import { inked, linesOf, bounds, fitInto } from '../strokes'
import type { Studio, View } from '../studio'
import { text } from '../text'
import { offerEncoder } from '../tools'
import { INSIDE, centred, fitted } from '../units'

const TEMPERATURES = [0.01, 0.1, 0.2, 0.4, 0.55, 0.7, 0.85, 1]

export function redrawView(studio: Studio): View {
  const { sheet } = studio
  const latest = new Latest()
  const place = element('div', { className: 'place' })
  const notice = new Notice()
  const more = button(text.redraw.more, () => studio.change({ seed: studio.settings.seed + 1 }), 'button', 'another')
  const tiles = TEMPERATURES.map((temperature, i) => {
    const name = temperature.toFixed(2)
    return new Tile(text.redraw.tile(name), () => takeOne(i), name)
  })
  const strip = element(
    'div',
    { className: 'tiles strip', role: 'group', ariaLabel: text.redraw.group },
    ...tiles.map((tile) => tile.element),
  )
  const ends = element(
    'div',
    { className: 'strip-ends' },
    element('span', { ariaHidden: 'true' }, text.temperature.calm),
    more,
    element('span', { ariaHidden: 'true' }, text.temperature.wild),
  )
  const view = element(
    'section',
    { className: 'view view-redraw', ariaLabel: text.views.redraw.title },
    place,
    element('div', { className: 'panel' }, element('div', { className: 'tiles-place' }, strip, notice.element), ends),
  )

  async function ask(): Promise<void> {
    const { backend, model, settings } = studio
    latest.stop()
    more.disabled = true
    if (!model.conditional) return rest(() => offerEncoder(studio, notice))
    if (sheet.strokes.length === 0) return rest(() => notice.empty(text.redraw.empty))
    notice.clear()
    for (const tile of tiles) tile.wait()
    try {
      const found = await latest.run((signal) =>
        backend.reconstruct(model.name, fitted(sheet.strokes, model), TEMPERATURES, { ...settings, signal }),
      )
      if (!found) return
      tiles.forEach((tile, i) => (found[i] ? tile.put(centred(found[i])) : tile.empty()))
      more.disabled = false
      studio.announce(text.redraw.ready)
    } catch (error) {
      rest(() => studio.failed(error, notice, () => void ask()))
    }
  }

  function rest(say: () => void): void {
    for (const tile of tiles) tile.empty()
    say()
  }

  /** Where the drawing was, as large as it was. */
  function takeOne(i: number): void {
    const box = bounds(linesOf(sheet.strokes)) ?? INSIDE
    sheet.put(inked(fitInto(linesOf(tiles[i]!.picture.strokes), box), 'model'))
  }

  return {
    element: view,
    sheets: { main: sheet },
    show() {
      place.replaceChildren(studio.desk)
      sheet.onPenDown = () => latest.stop()
      sheet.onChange = () => void ask()
      void ask()
    },
    hide() {
      latest.stop()
      notice.clear()
    },
    renew: () => void ask(),
    picture: () => ({ strokes: sheet.everything() }),
    keys: { n: () => more.click() },
  }
}
