// The start: who computes, and then the page.

import type { Backend } from './backend'
import { connect } from './http'

/** `sketchrnn export --to site` writes a meta element that says so; without it there is a server. */
export async function chooseBackend(): Promise<Backend> {
  const name = document.querySelector<HTMLMetaElement>('meta[name="sketchrnn-backend"]')?.content
  if (name === 'onnx') return (await import('./onnx')).openModels()
  return connect()
}

void chooseBackend()
