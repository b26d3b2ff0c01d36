// The tools beside a sheet, and the temperature.

import { button, element, icon, iconButton } from './dom'
import type { Notice } from './notice'
import type { Sheet } from './sheet'
import type { Studio } from './studio'
import { asInk } from './sheet'
import { centred } from './units'
import { text } from './text'

const STEP = 0.05
const LEAST = 0.01

/** Undo, redo, clear, replay; then examples, files, saving and the link. */
export function deskTools(studio: Studio, sheet: Sheet): HTMLElement {
  const replay = iconButton('replay', text.sheet.replay, () => (sheet.replaying ? sheet.stopReplay() : sheet.replay()))
  sheet.onReplay = (running) => {
    const label = running ? text.sheet.stop : text.sheet.replay
    replay.title = label
    replay.replaceChildren(icon(running ? 'stop' : 'replay'), element('span', { className: 'tool-label' }, label))
  }
  return element(
    'div',
    { className: 'tools', role: 'toolbar', ariaLabel: sheet.name },
    element('div', { className: 'tools-group' }, ...editTools(sheet, [replay])),
    element(
      'div',
      { className: 'tools-group' },
      iconButton('examples', text.sheet.examples, () => void placeExample(studio, sheet)),
      iconButton('open', text.sheet.open, () => void placeFile(studio, sheet)),
      iconButton('save', text.sheet.save, () => studio.save()),
      iconButton('link', text.sheet.link, () => studio.link()),
    ),
  )
}

/** Instead of what a model without encoder cannot do: another model, where there is one. */
export function offerEncoder(studio: Studio, notice: Notice): void {
  const { model, seeing } = studio
  const use = seeing && button(text.useModel(seeing.name), () => studio.change({ model: seeing.name }))
  notice.empty(text.decoderOnly(model.name), ...(use ? [use] : []))
}

/** A sheet that is one of several: its name and role above, a few tools below. */
export function slot(studio: Studio, sheet: Sheet, role = ''): HTMLElement {
  const tools = [
    ...editTools(sheet),
    iconButton('examples', text.sheet.examples, () => void placeExample(studio, sheet)),
    iconButton('open', text.sheet.open, () => void placeFile(studio, sheet)),
    iconButton('mine', text.sheet.mine, () => studio.sheet.strokes.length && sheet.put(asInk(studio.sheet.strokes))),
  ]
  return element(
    'section',
    { className: 'slot', ariaLabel: sheet.name },
    element('h3', { className: 'slot-name' }, sheet.name, role ? element('small', {}, role) : null),
    sheet.element,
    element('div', { className: 'tools tools-small', role: 'toolbar', ariaLabel: sheet.name }, ...tools),
  )
}

function editTools(sheet: Sheet, more: HTMLButtonElement[] = []): HTMLButtonElement[] {
  const undo = iconButton('undo', text.sheet.undo, () => sheet.undo())
  const redo = iconButton('redo', text.sheet.redo, () => sheet.redo())
  const clear = iconButton('clear', text.sheet.clear, () => sheet.clear())
  const update = () => {
    undo.disabled = !sheet.canUndo
    redo.disabled = !sheet.canRedo
    clear.disabled = sheet.strokes.length === 0
    for (const button of more) button.disabled = sheet.strokes.length === 0
  }
  sheet.element.addEventListener('sheetchange', update)
  update()
  return [undo, redo, clear, ...more]
}

/** Lays examples on sheets that wait to be filled. */
export function fillButton(studio: Studio, label: string, sheets: Sheet[], notice: Notice): HTMLButtonElement {
  async function fill(): Promise<void> {
    notice.wait(text.gallery.fetching)
    try {
      const found = await studio.someExamples()
      sheets.forEach((sheet, i) => sheet.put(centred(found[i]!)))
    } catch (error) {
      studio.failed(error, notice)
    }
  }
  return button(label, () => void fill(), 'button primary', 'examples')
}

export async function placeExample(studio: Studio, sheet: Sheet): Promise<void> {
  const drawing = await studio.example()
  if (drawing) sheet.put(centred(drawing, 'model'))
}

export async function placeFile(studio: Studio, sheet: Sheet): Promise<void> {
  const drawing = await studio.open()
  if (drawing) sheet.put(centred(drawing, 'person'))
}

/** Every view has its own; all show the one setting. */
export function temperatureSlider(studio: Studio): HTMLElement {
  const output = element('output', { className: 'temperature-value' })
  const input = element('input', {
    type: 'range',
    min: String(LEAST),
    max: '1',
    step: '0.01',
    ariaLabel: text.temperature.label,
    oninput: () => studio.change({ temperature: +input.value }),
  })
  const update = () => {
    input.value = String(studio.settings.temperature)
    output.value = studio.settings.temperature.toFixed(2)
  }
  document.addEventListener('settingschange', update)
  update()
  return element(
    'div',
    { className: 'temperature' },
    element('div', { className: 'temperature-head' }, element('span', {}, text.temperature.label), output),
    input,
    element(
      'div',
      { className: 'temperature-ends', ariaHidden: 'true' },
      element('span', {}, text.temperature.calm),
      element('span', {}, text.temperature.wild),
    ),
  )
}

export function stepTemperature(studio: Studio, direction: 1 | -1): void {
  const next = Math.round((studio.settings.temperature + direction * STEP) / STEP) * STEP
  studio.change({ temperature: +Math.min(1, Math.max(LEAST, next)).toFixed(2) })
}

/** A check box that looks like a switch. */
export function toggle(label: string, checked: boolean, onchange: (checked: boolean) => void): HTMLLabelElement {
  const input = element('input', { type: 'checkbox', checked, onchange: () => onchange(input.checked) })
  input.setAttribute('role', 'switch')
  return element('label', { className: 'toggle' }, input, element('span', {}, label))
}
