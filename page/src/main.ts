// The start: who computes, what the address says, and then the page.

import './style.css'
import { openApp } from './app'
import type { Backend } from './backend'
import { connect, keepToken } from './http'
import { fromLink } from './link'
import { waitForModels } from './start'
import { keptSettings } from './storage'
import { text } from './text'
import { applyTheme } from './theme'

/** `sketchrnn export --to site` writes a meta element that says so; without it there is a server. */
async function chooseBackend(): Promise<Backend> {
  const name = document.querySelector<HTMLMetaElement>('meta[name="sketchrnn-backend"]')?.content
  if (name === 'onnx') return (await import('./onnx')).openModels()
  return connect()
}

/** #token=... is kept, #d=... is a drawing; both are taken out of the address, lest a reload put the drawing over a newer. */
function readAddress(): string | null {
  const fragment = new URLSearchParams(location.hash.slice(1))
  const token = fragment.get('token')
  if (token) keepToken(token)
  const packed = fragment.get('d')
  if (token || packed) history.replaceState(null, '', location.pathname + location.search)
  return packed
}

async function start(): Promise<void> {
  const place = document.querySelector<HTMLElement>('#app')!
  applyTheme(keptSettings().theme ?? 'auto')
  const packed = readAddress()
  const { backend, models } = await waitForModels(chooseBackend, place)
  const linked = packed ? await fromLink(packed) : null
  const studio = openApp(backend, models, place, linked)
  if (packed && !linked) studio.say(text.link.bad)
}

void start()
