// Endings: nine continuations of one beginning, side by side.

import { Answer } from '../answer'
import { button, element } from '../dom'
import { intentions } from '../intention'
import { Latest } from '../latest'
import { Notice } from '../notice'
import { Tile } from '../picture'
import { asInk } from '../sheet'
import { type Stroke, linesOf, simplify } from '../strokes'
import type { Studio, View } from '../studio'
import { text } from '../text'
import { prefersStill } from '../theme'
import { temperatureSlider } from '../tools'
import { WHOLE_SHEET, grown, placed, toSheet } from '../units'

const ENDINGS = 9

export function endingsView(studio: Studio): View {
  const { sheet } = studio
  const latest = new Latest()
  const place = element('div', { className: 'place' })
  const notice = new Notice()
  const more = button(
    text.endings.more,
    () => studio.change({ seed: studio.settings.seed + ENDINGS }),
    'button',
    'another',
  )
  const tiles = Array.from({ length: ENDINGS }, (_, i) => new Tile(text.endings.tile(i + 1), () => takeOne(i)))
  const grid = element(
    'div',
    { className: 'tiles tiles-nine', role: 'group', ariaLabel: text.endings.group },
    ...tiles.map((tile) => tile.element),
  )
  const view = element(
    'section',
    { className: 'view view-endings', ariaLabel: text.views.endings.title },
    place,
    element(
      'div',
      { className: 'panel' },
      element('div', { className: 'tiles-place' }, grid, notice.element),
      element('div', { className: 'card row' }, temperatureSlider(studio), more),
    ),
  )

  let answers: Answer[] = []
  let ink: Stroke[] = []
  let frame = 0
  let last = 0

  async function ask(): Promise<void> {
    if (sheet.strokes.length === 0) return rest(text.endings.empty)
    const { backend, model, settings } = studio
    const prefix = placed(sheet.strokes, model)
    const start = prefix.lines.at(-1)!.at(-1)!
    const z = intentions(model, settings.seed, ENDINGS)
    notice.clear()
    more.disabled = false
    ink = asInk(sheet.strokes).map((stroke) => ({ ...stroke, points: simplify(stroke.points, 1) }))
    answers = tiles.map(() => new Answer(start, (point) => toSheet(point, model)))
    for (const tile of tiles) {
      tile.put(ink, grown(WHOLE_SHEET, linesOf(ink)))
      tile.element.disabled = true
      tile.wait()
    }
    const asked = answers
    try {
      const found = await latest.run((signal) =>
        backend.complete(model.name, prefix, ENDINGS, { ...settings, z, signal }, (i, rows, ended) => {
          asked[i]?.add(rows, ended)
          grow()
        }),
      )
      if (!found) return
      for (const answer of answers) answer.ended = true
      grow()
      studio.announce(text.endings.ready)
    } catch (error) {
      rest('')
      studio.failed(error, notice, () => void ask())
    }
  }

  /** No endings: why. */
  function rest(sentence: string): void {
    latest.stop()
    answers = []
    for (const tile of tiles) tile.empty()
    more.disabled = sheet.strokes.length === 0
    if (sentence) notice.empty(sentence)
  }

  function grow(): void {
    if (frame) return
    last = performance.now()
    frame = requestAnimationFrame(tick)
  }

  function tick(now: number): void {
    frame = 0
    const passed = Math.max(0, Math.min(100, now - last))
    last = now
    let moves = false
    answers.forEach((answer, i) => {
      if (answer.length === 0 && !answer.ended) return
      if (prefersStill()) answer.showAll()
      const before = answer.shownPoints
      if (answer.advance(passed) && answer.shownPoints < answer.length) moves = true
      if (answer.shownPoints !== before || answer.finished) {
        const strokes = [...ink, ...answer.visible()]
        tiles[i]!.put(strokes, grown(WHOLE_SHEET, linesOf(strokes)))
      }
      if (answer.finished && answer.length === 0) tiles[i]!.note(text.endings.whole)
    })
    if (moves) frame = requestAnimationFrame(tick)
  }

  function takeOne(i: number): void {
    const answer = answers[i]
    if (!answer) return
    sheet.put([...sheet.strokes, ...answer.strokes()])
    studio.say(text.endings.taken)
  }

  return {
    element: view,
    sheets: { main: sheet },
    show() {
      place.replaceChildren(studio.desk)
      sheet.onPenDown = () => latest.stop()
      sheet.onChange = (cause) => {
        if (cause === 'pen' || sheet.strokes.length === 0) void ask()
        else rest(text.endings.resting)
      }
      void ask()
    },
    hide() {
      rest('')
      notice.clear()
    },
    renew: () => void ask(),
    picture: () => ({ strokes: sheet.everything() }),
    keys: { n: () => more.click() },
  }
}
