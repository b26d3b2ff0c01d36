// Dialogs: a title, something to do, and drawings to choose from.

import type { Drawing } from './backend'
import { button, element, iconButton } from './dom'
import { Latest } from './latest'
import { Notice } from './notice'
import { Tile } from './picture'
import { text } from './text'
import { centred } from './units'

/** Opens at once; the promise is kept when it closes. */
export function openDialog(title: string, ...content: Node[]): { dialog: HTMLDialogElement; closed: Promise<void> } {
  const close = iconButton('close', text.gallery.close, () => dialog.close())
  close.classList.add('dialog-close')
  const heading = element('h2', {}, title)
  const inside = element('div', { className: 'dialog-inside' }, element('header', {}, heading, close), ...content)
  const dialog: HTMLDialogElement = element('dialog', { className: 'dialog', ariaLabel: title }, inside)
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close())
  document.body.append(dialog)
  const closed = new Promise<void>((resolve) =>
    dialog.addEventListener('close', () => {
      dialog.remove()
      resolve()
    }),
  )
  dialog.showModal()
  return { dialog, closed }
}

/** Pages of drawings, until one is chosen. */
export async function chooseDrawing(
  title: string,
  load: (page: number) => Promise<Drawing[]>,
  pages = true,
): Promise<Drawing | null> {
  const latest = new Latest()
  const notice = new Notice()
  const grid = element('div', { className: 'tiles gallery', role: 'group', ariaLabel: title })
  const more = button(text.gallery.more, () => void show(++page), 'button', 'another')
  let page = 0
  let chosen: Drawing | null = null
  const { dialog, closed } = openDialog(title, grid, notice.element, ...(pages ? [more] : []))

  async function show(which: number): Promise<void> {
    notice.wait(text.gallery.waiting)
    try {
      const drawings = await latest.run(() => load(which))
      if (!drawings) return
      notice.clear()
      const tiles = drawings.map((drawing, i) => {
        const tile = new Tile(text.gallery.choose(i + 1), () => {
          chosen = drawing
          dialog.close()
        })
        tile.put(centred(drawing, 'person'))
        return tile.element
      })
      grid.replaceChildren(...tiles)
    } catch (error) {
      notice.fail(error, () => void show(which))
    }
  }

  void show(page)
  await closed
  latest.stop()
  return chosen
}
