// Everything but the drawing itself can be done with the keyboard.

/** `single` are keys alone, which a person can switch off; undo and redo with Ctrl or Command always work. */
export function onKeys(
  single: () => Record<string, () => void>,
  enabled: () => boolean,
  undo: () => void,
  redo: () => void,
): void {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.altKey || writes(event.target) || document.querySelector('dialog[open]')) return
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key
    if (event.ctrlKey || event.metaKey) {
      if (key !== 'z' && key !== 'y') return
      event.preventDefault()
      if (key === 'y' || event.shiftKey) redo()
      else undo()
      return
    }
    if (!enabled()) return
    if (key === 'Enter' && presses(event.target)) return // Enter presses the button it stands on
    const action = single()[key]
    if (!action) return
    event.preventDefault()
    action()
  })
}

function writes(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement ||
    (target instanceof HTMLInputElement && !['range', 'checkbox', 'button'].includes(target.type))
  )
}

function presses(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('button, a, label, [role="application"]') !== null
}
