// The backend of the site without a server: the models' ONNX files run in this browser, in a worker.

import {
  type Backend,
  BackendError,
  type Drawing,
  type LatentMap,
  type Mixture,
  type OnPoints,
  type Options,
} from './backend'
import type { SiteModel } from './onnx_model'
import type { Answer, Call, Request } from './onnx_worker'
import { readInPage } from './reading'
import { text } from './text'

interface Waiting {
  resolve(result: unknown): void
  reject(error: unknown): void
  onPoints?: OnPoints
}

/** Opens the site that `sketchrnn export --to site` wrote. The models go on loading; the first answer waits for its own. */
export async function openModels(): Promise<Backend> {
  const models = await readSite()
  const worker = new Worker(new URL('./onnx_worker.ts', import.meta.url), { type: 'module' })
  const post = (request: Request) => worker.postMessage(request)
  const waiting = new Map<number, Waiting>()
  let last = 0

  worker.onmessage = ({ data }: MessageEvent<Answer>) => {
    const call = waiting.get(data.id)
    if (!call) return
    if ('rows' in data) return call.onPoints?.(data.drawing, data.rows, data.ended)
    waiting.delete(data.id)
    if ('error' in data) call.reject(new BackendError(data.error))
    else call.resolve(data.result)
  }
  let broken = false
  worker.onerror = () => {
    broken = true
    for (const call of waiting.values()) call.reject(new BackendError(text.inBrowser.noModel))
    waiting.clear()
  }
  post({ open: models, base: document.baseURI })

  function ask<T>(model: string, call: Call, options: Options, onPoints?: OnPoints): Promise<T> {
    const { signal, temperature, seed } = options
    return new Promise<T>((resolve, reject) => {
      signal?.throwIfAborted()
      if (broken) throw new BackendError(text.inBrowser.noModel)
      const id = ++last
      const stop = () => {
        waiting.delete(id)
        post({ id, stop: true })
        reject(signal!.reason as Error)
      }
      const done = () => signal?.removeEventListener('abort', stop)
      signal?.addEventListener('abort', stop)
      waiting.set(id, {
        resolve: (result) => (done(), resolve(result as T)),
        reject: (error) => (done(), reject(error as Error)),
        onPoints,
      })
      post({ id, call, model, options: { temperature, seed }, streamed: onPoints !== undefined })
    })
  }

  const none = (signal?: AbortSignal): Options => ({ temperature: 0, seed: 0, ...(signal && { signal }) })
  return {
    models: () => Promise.resolve(models),
    sample: (model, n, options, onPoints) => ask<Drawing[]>(model, { name: 'sample', n }, options, onPoints),
    complete: (model, prefix, n, options, onPoints) =>
      ask<Drawing[]>(model, { name: 'complete', prefix, n, z: options.z }, options, onPoints),
    reconstruct: (model, drawing, temperatures, options) =>
      ask<Drawing[]>(model, { name: 'reconstruct', drawing, temperatures }, options),
    interpolate: (model, a, b, steps, options) => ask<Drawing[]>(model, { name: 'interpolate', a, b, steps }, options),
    analogy: (model, a, b, c, n, options) => ask<Drawing[]>(model, { name: 'analogy', a, b, c, n }, options),
    encode: (model, drawings, signal) => ask<number[][]>(model, { name: 'encode', drawings }, none(signal)),
    decode: (model, z, options) => ask<Drawing[]>(model, { name: 'decode', z }, options),
    density: (model, drawing, z, signal) => ask<Mixture[]>(model, { name: 'density', drawing, z }, none(signal)),
    map: (model, signal) => ask<LatentMap>(model, { name: 'map' }, none(signal)),
    read: readInPage,
  }
}

async function readSite(): Promise<SiteModel[]> {
  const response = await fetch('site.json').catch(() => null)
  if (!response?.ok) throw new BackendError(text.inBrowser.noSite, 'offline')
  const site = (await response.json()) as { models: SiteModel[] }
  return site.models
}
