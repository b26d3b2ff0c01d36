// The first moment: waiting for the models, asking for the token, or saying why nothing comes.

import { type Backend, BackendError, type Model, mayPass } from './backend'
import { element } from './dom'
import { keepToken } from './http'
import { Notice } from './notice'
import { text } from './text'

const AGAIN = 2500 // milliseconds

/** The models, as soon as there are some. */
export async function waitForModels(
  choose: () => Promise<Backend>,
  place: HTMLElement,
): Promise<{ backend: Backend; models: Model[] }> {
  const notice = new Notice()
  place.replaceChildren(
    element('main', { className: 'start' }, element('h1', { className: 'wordmark' }, text.name), notice.element),
  )
  for (;;) {
    notice.wait(text.start.waiting)
    try {
      const backend = await choose()
      const models = await backend.models()
      if (models.length > 0) return { backend, models }
      await new Promise<void>((resolve) => notice.fail(new BackendError(text.start.none), resolve))
    } catch (error) {
      if (error instanceof BackendError && error.trouble === 'token') await askForToken(notice)
      else await failed(notice, error)
    }
  }
}

/** Until the person tries again, or for a moment where that may help. */
function failed(notice: Notice, error: unknown): Promise<void> {
  return new Promise((resolve) => {
    notice.fail(error, resolve)
    if (mayPass(error)) setTimeout(resolve, AGAIN)
  })
}

function askForToken(notice: Notice): Promise<void> {
  return new Promise((resolve) => {
    const input = element('input', { type: 'password', autocomplete: 'off', required: true })
    const form = element(
      'form',
      { className: 'token' },
      element('label', {}, text.start.tokenLabel, input),
      element('button', { className: 'button primary', type: 'submit' }, text.start.tokenGo),
    )
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      keepToken(input.value.trim())
      resolve()
    })
    notice.empty(text.failed.token, form)
    input.focus()
  })
}
