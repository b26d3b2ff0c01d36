// Draw: the person begins, the model goes on in another colour.

import { Answer } from '../answer'
import type { Drawing } from '../backend'
import { button, element } from '../dom'
import { intentions } from '../intention'
import { Latest } from '../latest'
import { Notice } from '../notice'
import { countPoints, fitInto } from '../strokes'
import type { Studio, View } from '../studio'
import { text } from '../text'
import { temperatureSlider, toggle } from '../tools'
import { UnderThePen } from '../under'
import { INSIDE, placed, toModel, toSheet } from '../units'

export function drawView(studio: Studio): View {
  const { sheet } = studio
  const latest = new Latest()
  const under = new UnderThePen(studio)
  const place = element('div', { className: 'place' })
  const status = element('p', { className: 'status', role: 'status' })
  const notice = new Notice()
  const take = button(text.draw.take, takeAll, 'button primary', 'take')
  const one = button(text.draw.takeOne, takeOne)
  const another = button(text.draw.another, askAnother, 'button', 'another')
  const welcome = element('div', { className: 'welcome' })
  const auto = toggle(text.draw.auto, studio.settings.auto, (on) => studio.change({ auto: on }))

  const panel = element(
    'div',
    { className: 'panel' },
    element(
      'section',
      { className: 'card answer', ariaLabel: text.views.draw.title },
      status,
      notice.element,
      element('div', { className: 'actions' }, take, another, one),
      auto,
    ),
    element('section', { className: 'card' }, temperatureSlider(studio)),
    under.element,
  )
  const view = element('section', { className: 'view view-draw', ariaLabel: text.views.draw.title }, place, panel)

  let given: Drawing = { lines: [] } // what the model was asked to go on from

  function update(): void {
    const { answer, strokes } = sheet
    const there = answer !== null && answer.length > 0
    take.disabled = !there
    one.disabled = !there || !answer.ended
    another.disabled = strokes.length === 0 && !there
    welcome.hidden = strokes.length > 0 || sheet.drawing || answer !== null
  }

  function tell(sentence: string, working = false): void {
    if (status.textContent !== sentence) status.textContent = sentence
    status.classList.toggle('working', working)
  }

  async function ask(): Promise<void> {
    if (sheet.strokes.length === 0) return begin()
    const { backend, model, settings } = studio
    given = placed(sheet.strokes, model)
    const z = intentions(model, settings.seed)
    const answer = new Answer(given.lines.at(-1)!.at(-1)!, (point) => toSheet(point, model))
    await receive(answer, async (signal) => {
      await backend.complete(model.name, given, 1, { ...settings, z, signal }, (_, rows, ended) => {
        answer.add(rows, ended)
        sheet.refresh()
      })
      return answer
    })
  }

  /** Nothing is there to go on from: a drawing of its own, in the middle of the sheet. */
  async function begin(): Promise<void> {
    const { backend, model, settings } = studio
    const pressed = welcome.contains(document.activeElement) // its button goes: the next one takes over
    given = { lines: [] }
    await receive(null, async (signal) => {
      const found = await backend.sample(model.name, 1, { ...settings, signal })
      const lines = fitInto(found[0]!.lines, INSIDE).map((line) => line.map((point) => toModel(point, model)))
      return Answer.of(lines, (point) => toSheet(point, model))
    })
    if (pressed && sheet.answer) take.focus()
  }

  /** `growing` is the answer that `work` lets grow, where it comes bit by bit. */
  async function receive(growing: Answer | null, work: (signal: AbortSignal) => Promise<Answer>): Promise<void> {
    notice.clear()
    sheet.answer = growing
    tell(text.draw.thinking, true)
    update()
    try {
      const answer = await latest.run(work)
      if (!answer) return
      answer.ended = true
      sheet.answer = answer.length > 0 ? answer : null
      if (answer.length > 0) tell(`${text.draw.answered(answer.lines.length)} ${text.draw.answerHint}`)
      else tell(given.lines.length > 0 ? text.draw.ended : text.draw.nothing)
      under.show({ lines: [...given.lines, ...answer.lines] })
    } catch (error) {
      tell('')
      if (!growing?.length) sheet.answer = null
      else growing.ended = true
      studio.failed(error, notice, () => void ask())
    }
    update()
  }

  function askAnother(): void {
    const renews = isAsked()
    studio.change({ seed: studio.settings.seed + 1 })
    if (!renews) void ask()
  }

  /** There is an answer, or would be one if nothing had failed: with other settings it is another. */
  function isAsked(): boolean {
    return sheet.answer !== null || !notice.element.hidden
  }

  function takeAll(): void {
    const { answer } = sheet
    if (!answer || answer.length === 0) return
    latest.stop()
    sheet.put([...sheet.strokes, ...answer.strokes()])
    tell(text.draw.taken)
  }

  function takeOne(): void {
    const { answer } = sheet
    if (!answer?.ended || answer.length === 0) return
    const [first, ...rest] = answer.strokes()
    sheet.put([...sheet.strokes, first!])
    if (rest.length === 0) return tell(text.draw.taken)
    const left = Answer.of(answer.lines.slice(1), answer.place)
    left.showAll()
    sheet.answer = left
    tell(text.draw.answerHint)
    update()
  }

  function show(): void {
    const { model } = studio
    welcome.replaceChildren(
      element('p', { className: 'welcome-title' }, text.draw.empty(text.draw.thing(model.labels))),
      element('p', {}, text.draw.emptyHint),
      button(text.draw.begin, () => void ask(), 'button', 'draw'),
    )
    place.replaceChildren(studio.desk)
    sheet.element.append(welcome)
    sheet.onPenDown = () => {
      latest.stop()
      sheet.answer = null
      notice.clear()
      tell('')
      update()
    }
    sheet.onPenMove = (stroke) => under.live([...sheet.strokes, stroke])
    sheet.onChange = (cause) => {
      latest.stop()
      notice.clear()
      tell(text.draw.waiting)
      given = placed(sheet.strokes, model)
      if (cause === 'pen' && studio.settings.auto) void ask()
      else under.show(given)
      update()
    }
    sheet.onGrow = () => {
      const { answer } = sheet
      if (answer) under.follow(countPoints(given.lines) + answer.shownPoints)
      update()
    }
    given = placed(sheet.strokes, model)
    under.enter()
    under.show(given)
    tell(text.draw.waiting)
    update()
  }

  return {
    element: view,
    sheets: { main: sheet },
    show,
    hide() {
      latest.stop()
      under.stop()
      notice.clear()
      welcome.remove()
      sheet.answer = null
    },
    renew() {
      auto.querySelector('input')!.checked = studio.settings.auto
      if (!isAsked()) return
      sheet.answer = null // the paper is as large as the next answer asks for
      void ask()
    },
    picture: () => ({ strokes: sheet.everything() }),
    keys: {
      Enter: takeAll,
      t: takeOne,
      n: askAnother,
      u: () => studio.change({ under: !studio.settings.under }),
    },
  }
}
