// Arithmetic: A + (B - C).

import type { Drawing } from '../backend'
import { button, element } from '../dom'
import { Latest } from '../latest'
import { Notice } from '../notice'
import { Picture } from '../picture'
import { Sheet } from '../sheet'
import type { Studio, View } from '../studio'
import { text } from '../text'
import { fillButton, offerEncoder, slot, temperatureSlider } from '../tools'
import { centred, fitted } from '../units'

export function sumView(studio: Studio): View {
  const latest = new Latest()
  const notice = new Notice()
  const sheets = text.sum.names.map((name) => new Sheet(name))
  const [a, b, c] = sheets as [Sheet, Sheet, Sheet]
  const picture = new Picture()
  const another = button(text.sum.another, () => studio.change({ seed: studio.settings.seed + 1 }), 'button', 'another')
  const take = button(text.sum.take, () => studio.takeToDraw(picture.strokes), 'button', 'take')
  const fill = fillButton(studio, text.sum.examples, sheets, notice)
  const sign = (mark: string) => element('span', { className: 'sign', ariaHidden: 'true' }, mark)
  const result = element(
    'section',
    { className: 'slot', ariaLabel: text.sum.result },
    element('h3', { className: 'slot-name' }, text.sum.result),
    element('div', { className: 'stage' }, picture.svg, notice.element),
    element('div', { className: 'tools tools-small' }, another, take),
  )
  const view = element(
    'section',
    { className: 'view view-sum', ariaLabel: text.views.sum.title },
    element(
      'div',
      { className: 'slots' },
      slot(studio, a, text.sum.roles[0]),
      sign('+ ('),
      slot(studio, b, text.sum.roles[1]),
      sign('−'),
      slot(studio, c, text.sum.roles[2]),
      sign(') ='),
      result,
    ),
    element('div', { className: 'card row' }, temperatureSlider(studio)),
  )

  async function ask(): Promise<void> {
    const { backend, model, settings } = studio
    latest.stop()
    another.disabled = take.disabled = true
    if (!model.conditional) return rest(() => offerEncoder(studio, notice))
    if (sheets.some((sheet) => sheet.strokes.length === 0)) return rest(() => notice.empty(text.sum.empty, fill))
    if (picture.strokes.length === 0) notice.wait(text.draw.thinking)
    else notice.clear()
    picture.svg.classList.add('waiting')
    try {
      const [da, db, dc] = [a, b, c].map((sheet) => fitted(sheet.strokes, model)) as [Drawing, Drawing, Drawing]
      const found = await latest.run((signal) => backend.analogy(model.name, da, db, dc, 1, { ...settings, signal }))
      if (!found) return
      notice.clear()
      picture.put(centred(found[0]!))
      another.disabled = false
      take.disabled = picture.strokes.length === 0
      if (take.disabled) notice.empty(text.sum.nothing)
      studio.announce(text.sum.ready)
    } catch (error) {
      rest(() => studio.failed(error, notice, () => void ask()))
    }
    picture.svg.classList.remove('waiting')
  }

  function rest(say: () => void): void {
    picture.put([])
    picture.svg.classList.remove('waiting')
    say()
  }

  return {
    element: view,
    sheets: { a, b, c },
    show() {
      for (const sheet of sheets) {
        sheet.onPenDown = () => latest.stop()
        sheet.onChange = () => void ask()
      }
      void ask()
    },
    hide: () => latest.stop(),
    renew: () => void ask(),
    picture: () => ({ strokes: picture.strokes }),
    keys: { n: () => another.click() },
  }
}
