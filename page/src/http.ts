// The backend that `sketchrnn serve` is: JSON over HTTP, answers point by point as NDJSON.

import {
  type Backend,
  BackendError,
  type Drawing,
  type LatentMap,
  type Mixture,
  type Model,
  type OnPoints,
  type Row,
} from './backend'
import { Pen } from './strokes'
import { text } from './text'

const PATIENCE = 120_000 // ms until an answer must be complete
const TRIES = 4 // of a request that an overloaded server puts off
const LONGEST_WAIT = 8 // seconds between two of them

type Body = Record<string, unknown>

/** `onBusy` hears when the server puts a request off, and the page waits to ask again. */
export function connect(base = 'api/v1/', onBusy = () => {}): Backend {
  const request = (path: string, init: RequestInit, signal?: AbortSignal) => asked(base + path, init, onBusy, signal)
  const post = async <T>(path: string, body: Body, signal?: AbortSignal): Promise<T> =>
    json<T>(await request(path, jsonBody(body), signal))
  const drawings = async (path: string, body: Body, signal?: AbortSignal): Promise<Drawing[]> =>
    (await post<{ drawings: Drawing[] }>(path, body, signal)).drawings
  const streamed = async (path: string, body: Body, onPoints: OnPoints, prefix: Drawing, signal?: AbortSignal) =>
    follow(await request(path, jsonBody(body, 'application/x-ndjson'), signal), onPoints, prefix, signal)

  return {
    async models() {
      return (await json<{ models: Model[] }>(await request('models', {}))).models
    },
    sample(model, n, { temperature, seed, signal }, onPoints) {
      const body = { model, n, temperature, seed }
      return onPoints ? streamed('sample', body, onPoints, { lines: [] }, signal) : drawings('sample', body, signal)
    },
    complete(model, prefix, n, { temperature, seed, z, signal }, onPoints) {
      const body = { model, drawing: prefix, n, temperature, seed, ...(z ? { z } : {}) }
      return onPoints ? streamed('complete', body, onPoints, prefix, signal) : drawings('complete', body, signal)
    },
    reconstruct(model, drawing, temperatures, { seed, signal }) {
      return drawings('reconstruct', { model, drawing, temperatures, n: 1, seed }, signal)
    },
    interpolate(model, a, b, steps, { temperature, seed, signal }) {
      return drawings('interpolate', { model, a, b, steps, temperature, seed }, signal)
    },
    analogy(model, a, b, c, n, { temperature, seed, signal }) {
      return drawings('analogy', { model, a, b, c, n, temperature, seed }, signal)
    },
    async encode(model, given, signal) {
      return (await post<{ mu: number[][] }>('encode', { model, drawings: given }, signal)).mu
    },
    decode(model, z, { temperature, seed, signal }) {
      return drawings('decode', { model, z, n: 1, temperature, seed }, signal)
    },
    async density(model, drawing, z, signal) {
      return mixtures(await post<Densities>('density', { model, drawing, ...(z ? { z } : {}) }, signal))
    },
    async map(model, signal) {
      return json<LatentMap>(await request(`map?model=${encodeURIComponent(model)}`, {}, signal))
    },
    async read(name, bytes) {
      const init = { method: 'POST', headers: { 'Content-Type': 'application/octet-stream' }, body: bytes }
      const found = await request(`read?name=${encodeURIComponent(plainName(name))}`, init)
      return (await json<{ drawings: Drawing[] }>(found)).drawings
    },
  }
}

/** The name as the server takes it: plain letters, and an ending that says the kind. */
function plainName(name: string): string {
  const stem = name
    .replace(/\.\w+$/, '')
    .replace(/[^\p{L}\p{N} .()-]/gu, '_')
    .slice(-80)
  return `_${stem}`.slice(/^[\p{L}\p{N}]/u.test(stem) ? 1 : 0) + (/\.svg$/i.test(name) ? '.svg' : '.ndjson')
}

// -- the token of a server that wants one: from the address's fragment or typed in, kept while the tab is open

const TOKEN = 'sketchrnn.token'

export function keepToken(token: string): void {
  try {
    sessionStorage.setItem(TOKEN, token)
  } catch {
    // a browser that stores nothing: the token is asked for again
  }
}

function token(): string | null {
  try {
    return sessionStorage.getItem(TOKEN)
  } catch {
    return null
  }
}

// -- requests

function jsonBody(body: Body, accept = 'application/json'): RequestInit {
  return {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: accept },
    body: JSON.stringify(body),
  }
}

/** The answer, once the server gives one: overload is waited out, everything else that failed is a sentence. */
async function asked(path: string, init: RequestInit, onBusy: () => void, signal?: AbortSignal): Promise<Response> {
  const patience = AbortSignal.timeout(PATIENCE)
  const both = signal ? AbortSignal.any([signal, patience]) : patience
  const headers = new Headers(init.headers)
  const key = token()
  if (key) headers.set('Authorization', `Bearer ${key}`)
  for (let tries = 1; ; tries++) {
    const response = await guarded(() => fetch(path, { ...init, headers, signal: both }), signal)
    if (response.ok) return response
    const after = response.headers.get('Retry-After') // a 503 without it would be one again
    const busy = response.status === 429 || (response.status === 503 && after !== null)
    if (busy && tries < TRIES) {
      onBusy()
      await pause(1000 * Math.min(Number(after) || 1, LONGEST_WAIT), signal)
      continue
    }
    if (response.status === 401) throw new BackendError(text.failed.token, 'token')
    if (response.status === 502 || response.status === 504) throw new BackendError(text.failed.offline, 'offline')
    throw new BackendError(await sentence(response), busy ? 'busy' : 'refused')
  }
}

async function sentence(response: Response): Promise<string> {
  const body = (await response.json().catch(() => null)) as { detail?: unknown } | null
  if (typeof body?.detail === 'string' && body.detail) return asSentence(body.detail)
  return response.status === 429 || response.status === 503 ? text.failed.busy : text.failed.status(response.status)
}

/** With a capital, unless it begins with a name. */
function asSentence(words: string): string {
  const plain = /^[a-z]+[ ,]/.test(words)
  return (plain ? words[0]!.toUpperCase() + words.slice(1) : words) + (/[.!?]$/.test(words) ? '' : '.')
}

async function json<T>(response: Response): Promise<T> {
  return guarded(() => response.json() as Promise<T>)
}

/** What the network throws, as a sentence; what the person stopped stays as it is. */
async function guarded<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (signal?.aborted || error instanceof BackendError) throw error
    if (error instanceof DOMException && error.name === 'TimeoutError') throw new BackendError(text.failed.slow)
    if (error instanceof SyntaxError) throw new BackendError(text.failed.garbled)
    throw new BackendError(text.failed.offline, 'offline')
  }
}

function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds)
    signal?.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(signal.reason as Error)
    })
  })
}

// -- answers that come point by point

type Part = { drawing?: number; points?: Row[]; end?: boolean; done?: boolean; error?: string }

async function follow(
  response: Response,
  onPoints: OnPoints,
  prefix: Drawing,
  signal?: AbortSignal,
): Promise<Drawing[]> {
  const pens: Pen[] = []
  const start = prefix.lines.at(-1)?.at(-1) ?? [0, 0]
  await guarded(async () => {
    for await (const line of textLines(response.body!)) {
      const part = JSON.parse(line) as Part
      if (part.error !== undefined) throw new BackendError(part.error)
      if (part.done) return
      if (part.drawing === undefined) continue
      const pen = (pens[part.drawing] ??= new Pen(start))
      pen.add(part.points ?? [])
      signal?.throwIfAborted()
      onPoints(part.drawing, part.points ?? [], part.end === true)
    }
    throw new BackendError(text.failed.cutOff, 'offline')
  }, signal)
  return Array.from(pens, (pen) => ({ lines: [...prefix.lines, ...(pen?.lines ?? [])] }))
}

export async function* textLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let rest = ''
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      rest += decoder.decode(part.value, { stream: true })
      const lines = rest.split('\n')
      rest = lines.pop()!
      for (const line of lines) if (line.trim()) yield line
    }
    if (rest.trim()) yield rest
  } finally {
    reader.cancel().catch(() => {}) // it has failed already where the person drew on
  }
}

// -- densities: the server gives a table for each letter, the page wants a mixture for each point

interface Densities {
  pi: number[][]
  mu_x: number[][]
  mu_y: number[][]
  sigma_x: number[][]
  sigma_y: number[][]
  rho: number[][]
  q: [number, number, number][]
}

function mixtures(rows: Densities): Mixture[] {
  return rows.pi.map((pi, i) => ({
    pi,
    muX: rows.mu_x[i]!,
    muY: rows.mu_y[i]!,
    sigmaX: rows.sigma_x[i]!,
    sigmaY: rows.sigma_y[i]!,
    rho: rows.rho[i]!,
    q: rows.q[i]!,
  }))
}
