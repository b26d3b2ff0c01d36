// The start: who computes, what the address says, and then the page.

import './style.css'
import { openApp } from './app'
import type { Backend } from './backend'
import { connect, keepToken } from './http'
import { fromLink } from './link'
import { waitForModels } from './start'
import { keptSettings } from './storage'
import type { Studio } from './studio'
import { text } from './text'
import { applyTheme } from './theme'

/** `sketchrnn export --to site` writes a meta element that says so; without it there is a server. */
async function chooseBackend(onBusy: () => void): Promise<Backend> {
  const name = document.querySelector<HTMLMetaElement>('meta[name="sketchrnn-backend"]')?.content
  if (name === 'onnx') return (await import('./onnx')).openModels()
  return connect(undefined, onBusy)
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
  let studio: Studio | null = null
  const onBusy = () => studio?.say(text.failed.busyAgain)
  const { backend, models } = await waitForModels(() => chooseBackend(onBusy), place)
  const linked = packed ? await fromLink(packed) : null
  studio = openApp(backend, models, place, linked)
  if (packed && !linked) studio.say(text.link.bad)
}

void start()
