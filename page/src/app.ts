// The frame around the views: header, pickers, dialogs, what is kept and shared.

import { type Backend, type Drawing, type Model, isOwn, mayPass } from './backend'
import { chooseDrawing, openDialog } from './dialogs'
import { button, element, icon, iconButton } from './dom'
import { askForFile, onDropAndPaste, readFile, readPasted } from './files'
import { onKeys } from './keyboard'
import { type Desk, fromLink, toLink } from './link'
import { type Notice, sentenceOf } from './notice'
import { type Format, download, encode } from './saving'
import { Sheet } from './sheet'
import { keepDesk, keepSettings, keptDesk, keptSettings } from './storage'
import type { Settings, Studio, View } from './studio'
import { type ViewName, text } from './text'
import { THEMES, applyTheme, watchSystem } from './theme'
import { deskTools, placeExample, placeFile, stepTemperature, toggle } from './tools'
import { centred } from './units'
import { drawView } from './views/draw'
import { endingsView } from './views/endings'
import { mapView } from './views/map'
import { morphView } from './views/morph'
import { redrawView } from './views/redraw'
import { sumView } from './views/sum'

const EXAMPLES = 12
const PLAIN = 0.25 // temperature of example drawings
const AGAIN = 2500 // milliseconds until an absent server is tried again
const SAID = 5000 // milliseconds that a sentence stays
const SETTLES = 300 // milliseconds until a slider that moves is taken at its word

export function openApp(backend: Backend, models: Model[], place: HTMLElement, linked: Desk | null): Studio {
  const settings: Settings = {
    view: 'draw',
    model: models[0]!.name,
    temperature: 0.4,
    seed: 0,
    auto: true,
    under: false,
    keys: true,
    theme: 'auto',
    ...keptSettings(),
  }
  const sheet = new Sheet(text.sheet.main)
  const desk = element('div', { className: 'desk' })
  const said = element('div', { className: 'said', role: 'status' })
  const announced = element('div', { className: 'unseen', role: 'status' })
  const banner = element('div', { className: 'banner', role: 'alert', hidden: true })
  let silence = 0
  let settling = 0
  let absent = false

  const studio: Studio = {
    backend,
    settings,
    sheet,
    desk,
    get model() {
      return models.find((model) => model.name === settings.model) ?? models[0]!
    },
    seeing: models.find((model) => model.conditional),
    change,
    say,
    announce: (sentence) => (announced.textContent = sentence),
    failed,
    example: () => chooseDrawing(text.gallery.examples, examples),
    someExamples: () => examples(Math.floor(Math.random() * 50)),
    open: () => guarded(async () => fromFile(await askForFile())),
    save,
    link: () => void link(),
    takeToDraw(strokes) {
      sheet.put(strokes)
      change({ view: 'draw' })
    },
  }
  desk.append(sheet.element, deskTools(studio, sheet))

  const views: Record<ViewName, View> = {
    draw: drawView(studio),
    endings: endingsView(studio),
    redraw: redrawView(studio),
    morph: morphView(studio),
    sum: sumView(studio),
    map: mapView(studio),
  }
  const names = Object.keys(views) as ViewName[]
  const sheets: Record<string, Sheet> = Object.assign({}, ...names.map((name) => views[name].sheets))
  let active: Sheet | undefined // the sheet in sight that keys and files mean

  // -- the frame

  const title = element('h2', { className: 'view-title' })
  const hint = element('p', { className: 'view-hint' })
  const tabs = names.map((name) =>
    element(
      'button',
      { className: 'tab', type: 'button', onclick: () => change({ view: name }) },
      icon(name),
      element('span', {}, text.views[name].tab),
    ),
  )
  const picker = element('select', { onchange: () => change({ model: picker.value }) })
  picker.ariaLabel = text.header.model
  picker.append(...models.map((model) => element('option', { value: model.name }, model.name)))
  const theme = iconButton('auto', '', () =>
    change({ theme: THEMES[(THEMES.indexOf(settings.theme) + 1) % THEMES.length]! }),
  )
  const main = element('main', { className: 'main' }, element('header', { className: 'heading' }, title, hint))
  place.replaceChildren(
    element(
      'header',
      { className: 'header' },
      element('h1', { className: 'wordmark' }, text.name),
      element('nav', { className: 'tabs', ariaLabel: text.header.views }, ...tabs),
      element(
        'div',
        { className: 'header-end' },
        element('label', { className: 'picker' }, picker),
        theme,
        iconButton('keys', text.header.keys, () => void help()),
      ),
    ),
    banner,
    main,
    said,
    announced,
  )

  function update(): void {
    const { tab, title: words, hint: more } = text.views[settings.view]
    title.textContent = words
    hint.textContent = more
    document.title = `${tab} · ${text.name}`
    tabs.forEach((tab, i) => {
      if (names[i] === settings.view) tab.setAttribute('aria-current', 'page')
      else tab.removeAttribute('aria-current')
    })
    picker.value = studio.model.name
    picker.title = text.header.about(studio.model.labels, studio.model.parameters.toLocaleString('en'))
    const label = text.header.theme[settings.theme]
    theme.title = label
    theme.replaceChildren(icon(settings.theme), element('span', { className: 'tool-label' }, label))
  }

  function change(part: Partial<Settings>): void {
    const before = { ...settings }
    Object.assign(settings, part)
    update()
    if (settings.theme !== before.theme) applyTheme(settings.theme)
    document.dispatchEvent(new Event('settingschange'))
    if (settings.view !== before.view) {
      views[before.view].hide()
      for (const one of Object.values(views[before.view].sheets)) one.quiet()
      showView()
    } else if (settings.model !== before.model) {
      views[settings.view].hide()
      views[settings.view].show()
    } else if (settings.seed !== before.seed) views[settings.view].renew()
    else if (settings.temperature !== before.temperature) {
      clearTimeout(settling)
      settling = window.setTimeout(() => views[settings.view].renew(), SETTLES)
    }
    keepSettings(settings)
    keep()
  }

  function showView(): void {
    const view = views[settings.view]
    main.dataset.view = settings.view
    main.replaceChildren(main.firstChild!, view.element)
    active = Object.values(view.sheets)[0]
    view.show()
  }

  function say(sentence: string): void {
    clearTimeout(silence)
    said.textContent = sentence
    silence = window.setTimeout(() => (said.textContent = ''), SAID)
  }

  // -- a server that went away

  function failed(error: unknown, notice: Notice, retry?: () => void): void {
    notice.fail(error, retry)
    waitFor(error)
  }

  function waitFor(error: unknown): void {
    if (!mayPass(error)) return
    banner.textContent = text.failed.banner(error.message)
    banner.hidden = false
    if (absent) return
    absent = true
    const again = async () => {
      try {
        await backend.models()
      } catch (error) {
        waitFor(error)
        setTimeout(() => void again(), AGAIN)
        return
      }
      absent = false
      banner.hidden = true
      say(text.failed.back)
      views[settings.view].renew()
    }
    setTimeout(() => void again(), AGAIN)
  }

  async function guarded<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work()
    } catch (error) {
      say(sentenceOf(error))
      waitFor(error)
      return null
    }
  }

  // -- examples and files

  const maps = new Map<string, Promise<Drawing[]>>()

  /** The drawings of the model's map where they are its own, which may be by people; else new ones by the model. */
  async function examples(page: number): Promise<Drawing[]> {
    const { model } = studio
    if (model.conditional) {
      if (!maps.has(model.name)) {
        maps.set(
          model.name,
          backend.map(model.name).then((map) => (isOwn(map, model) ? map.points.map((point) => point.drawing) : [])),
        )
      }
      try {
        const known = await maps.get(model.name)!
        const start = known.length ? (page * EXAMPLES) % known.length : 0
        if (known.length > 0) return [...known, ...known].slice(start, start + Math.min(EXAMPLES, known.length))
      } catch {
        maps.delete(model.name)
      }
    }
    return backend.sample(model.name, EXAMPLES, { temperature: PLAIN, seed: 1000 + page })
  }

  async function fromFile(file: File | null): Promise<Drawing | null> {
    if (!file) return null
    const drawing = await readFile(backend, file)
    if (drawing) say(text.files.opened(file.name))
    return drawing
  }

  async function lay(drawing: Promise<Drawing | null>): Promise<void> {
    const found = await guarded(() => drawing)
    if (!found) return
    if (!active) change({ view: 'draw' })
    active!.put(centred(found, 'person'))
  }

  onDropAndPaste(
    (file) => void lay(fromFile(file)),
    (content) => void lay(readPasted(backend, content)),
  )

  // -- save, link, help

  function save(): void {
    const { strokes, frames } = views[settings.view].picture()
    if (strokes.length === 0) return say(text.save.nothing)
    const word = studio.model.labels.length === 1 ? studio.model.labels[0]! : text.name
    const choices = (Object.keys(text.save.formats) as Format[]).map((format) => {
      const [name, use] = text.save.formats[format] as [string, string]
      const choice = button('', () => void keepAs(format), 'choice')
      choice.append(element('strong', {}, name), element('span', {}, use))
      return choice
    })
    const { dialog } = openDialog(text.save.title, element('div', { className: 'choices' }, ...choices))

    async function keepAs(format: Format): Promise<void> {
      try {
        const name = `${word.replaceAll(/[^\p{L}\p{N}_-]+/gu, '-')}.${format}`
        download(await encode(format, strokes, word, frames), name)
        say(text.save.saved(name))
      } catch {
        say(text.save.failed)
      }
      dialog.close()
    }
  }

  function onDesk(): Desk {
    const { view, model, temperature, seed } = settings
    const drawings = Object.entries(sheets).map(([name, one]) => [name, one.strokes])
    return { view, model, temperature, seed, sheets: Object.fromEntries(drawings) }
  }

  async function link(): Promise<void> {
    const address = new URL(location.href)
    address.hash = `d=${await toLink(onDesk())}`
    try {
      await navigator.clipboard.writeText(address.href)
      say(text.link.copied)
    } catch {
      // no clipboard where the address is not safe: the link is shown to be copied by hand
      const field = element('textarea', { readOnly: true, rows: 5, value: address.href, ariaLabel: text.link.title })
      openDialog(text.link.title, element('p', {}, text.link.shown), field)
      field.select()
    }
  }

  async function help(): Promise<void> {
    const rows = text.keys.list.map(([key, does]) => [
      element('dt', {}, element('kbd', {}, key)),
      element('dd', {}, does),
    ])
    await openDialog(
      text.keys.title,
      toggle(text.keys.single, settings.keys, (keys) => change({ keys })),
      element('dl', { className: 'keys' }, ...rows.flat()),
      element('p', {}, text.keys.help),
    ).closed
  }

  // -- keys

  const common: Record<string, () => void> = {
    z: () => active?.undo(),
    y: () => active?.redo(),
    x: () => active?.clear(),
    p: () => (active?.replaying ? active.stopReplay() : active?.replay()),
    e: () => active && void placeExample(studio, active),
    o: () => active && void placeFile(studio, active),
    s: save,
    l: () => void link(),
    '[': () => stepTemperature(studio, -1),
    ']': () => stepTemperature(studio, 1),
    '?': () => void help(),
    ...Object.fromEntries(names.map((name, i) => [String(i + 1), () => change({ view: name })])),
  }
  onKeys(
    () => ({ ...common, ...views[settings.view].keys }),
    () => settings.keys,
    () => active?.undo(),
    () => active?.redo(),
  )
  for (const one of Object.values(sheets)) {
    one.element.addEventListener('pointerdown', () => (active = one), { capture: true })
    one.element.addEventListener('sheetchange', keep)
  }

  // -- what was there

  let keeping = 0
  function keep(): void {
    clearTimeout(keeping)
    keeping = window.setTimeout(() => keepDesk(onDesk()), SETTLES)
  }

  function restore(kept: Desk | null): void {
    if (!kept) return
    const model = models.some(({ name }) => name === kept.model) ? kept.model : settings.model
    const view = names.find((name) => name === kept.view) ?? settings.view
    Object.assign(settings, { model, view, temperature: kept.temperature, seed: kept.seed })
    for (const [name, strokes] of Object.entries(kept.sheets)) {
      if (strokes.length > 0 && Object.hasOwn(sheets, name)) sheets[name]!.put(strokes)
    }
    if (kept === linked && model !== kept.model) say(text.link.otherModel(kept.model))
  }

  restore(keptDesk())
  restore(linked) // over it: undo brings back what was there
  applyTheme(settings.theme)
  watchSystem()
  document.dispatchEvent(new Event('settingschange'))
  update()
  showView()
  addEventListener('hashchange', () => {
    const packed = new URLSearchParams(location.hash.slice(1)).get('d')
    if (packed) void fromLink(packed).then((desk) => (desk ? location.reload() : say(text.link.bad)))
  })
  return studio
}
