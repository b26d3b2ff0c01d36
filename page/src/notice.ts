// What a view says when it has no drawing to show: nothing yet, wait, or why not.

import { BackendError } from './backend'
import { button, element } from './dom'
import { text } from './text'

export class Notice {
  readonly element = element('div', { className: 'notice', hidden: true })

  empty(sentence: string, ...actions: HTMLElement[]): void {
    this.show('empty', element('p', {}, sentence), ...actions)
  }

  wait(sentence: string): void {
    this.show('wait', element('span', { className: 'pencil', ariaHidden: 'true' }), element('p', {}, sentence))
  }

  fail(error: unknown, retry?: () => void): void {
    this.show('fail', element('p', {}, sentenceOf(error)), ...(retry ? [button(text.failed.retry, retry)] : []))
    this.element.setAttribute('role', 'alert')
  }

  clear(): void {
    this.element.hidden = true
  }

  private show(kind: string, ...children: Node[]): void {
    this.element.removeAttribute('role')
    this.element.className = `notice notice-${kind}`
    this.element.replaceChildren(...children)
    this.element.hidden = false
  }
}

export function sentenceOf(error: unknown): string {
  if (error instanceof BackendError) return error.message
  console.error(error)
  return text.failed.bug
}
