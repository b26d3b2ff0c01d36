// Drawings from outside: a chosen, dropped or pasted file.

import { type Backend, BackendError, type Drawing } from './backend'
import { chooseDrawing } from './dialogs'
import { element } from './dom'
import { looksLikeSvg } from './reading'
import { text } from './text'

const MOST_SHOWN = 60
const ENDINGS = /\.(svg|ndjson|jsonl?)$/i

/** Asks for a file; null where the person chose none. */
export function askForFile(): Promise<File | null> {
  const input = element('input', { type: 'file', accept: '.svg,.ndjson,image/svg+xml' })
  return new Promise((resolve) => {
    input.addEventListener('change', () => resolve(input.files?.[0] ?? null))
    input.addEventListener('cancel', () => resolve(null))
    input.click()
  })
}

/** The drawing in a file, the chosen one where there are several. */
export async function readFile(backend: Backend, file: File): Promise<Drawing | null> {
  if (!ENDINGS.test(file.name)) throw new BackendError(text.files.wrong(file.name))
  if (file.size > 5_000_000) throw new BackendError(text.files.tooLarge(file.name))
  return chooseOne(await backend.read(file.name, await file.arrayBuffer()), file.name)
}

/** Null where the text is no drawing at all: somebody pasted something else. */
export async function readPasted(backend: Backend, content: string): Promise<Drawing | null> {
  const ndjson = /^\s*\{.*"drawing"/s.test(content)
  if (!looksLikeSvg(content) && !ndjson) return null
  const bytes = new TextEncoder().encode(content)
  return chooseOne(await backend.read(ndjson ? 'pasted.ndjson' : 'pasted.svg', bytes.buffer), text.files.pasted)
}

async function chooseOne(drawings: Drawing[], name: string): Promise<Drawing | null> {
  const found = drawings.filter((drawing) => drawing.lines.length > 0)
  if (found.length === 0) throw new BackendError(text.files.nothing(name))
  if (found.length === 1) return found[0]!
  return chooseDrawing(text.gallery.file(name), () => Promise.resolve(found.slice(0, MOST_SHOWN)), false)
}

/** Drop anywhere, paste anywhere but into a field. */
export function onDropAndPaste(onFile: (file: File) => void, onText: (content: string) => void): void {
  const target = element('div', { className: 'drop', hidden: true }, element('p', {}, text.files.drop))
  document.body.append(target)
  document.addEventListener('dragover', (event) => {
    if (!event.dataTransfer?.types.includes('Files')) return
    event.preventDefault()
    target.hidden = false
  })
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) target.hidden = true
  })
  document.addEventListener('drop', (event) => {
    event.preventDefault()
    target.hidden = true
    const file = event.dataTransfer?.files[0]
    if (file) onFile(file)
  })
  document.addEventListener('paste', (event) => {
    if (event.target instanceof HTMLInputElement) return
    const file = event.clipboardData?.files[0]
    if (file) onFile(file)
    else onText(event.clipboardData?.getData('text/plain') ?? '')
  })
}
