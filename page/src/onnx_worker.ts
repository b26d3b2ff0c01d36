// What runs beside the page, on a thread of its own, so that drawing stays smooth while the model answers.

import type { Drawing, LatentMap, Line, Mixture, Options, Point, Row } from './backend'
import { slerp } from './mixture'
import { fetchFile, OnnxModel, type SiteModel } from './onnx_model'
import { LATENT, Random } from './random'
import { draw, predictions, type Task } from './sampler'
import { Pen } from './strokes'
import { text } from './text'

/** A call of the page's; `options` without the signal, which becomes a message of its own. */
export type Request =
  | { open: SiteModel[]; base: string }
  | { id: number; call: Call; model: string; options: Choice; streamed: boolean }
  | { id: number; stop: true }

export type Choice = Pick<Options, 'temperature' | 'seed'>

export type Call =
  | { name: 'sample'; n: number }
  | { name: 'complete'; prefix: Drawing; n: number; z?: number[][] | undefined }
  | { name: 'reconstruct'; drawing: Drawing; temperatures: number[] }
  | { name: 'interpolate'; a: Drawing; b: Drawing; steps: number }
  | { name: 'analogy'; a: Drawing; b: Drawing; c: Drawing; n: number }
  | { name: 'encode'; drawings: Drawing[] }
  | { name: 'decode'; z: number[][] }
  | { name: 'density'; drawing: Drawing; z?: number[] | undefined }
  | { name: 'map' }

export type Answer =
  | { id: number; drawing: number; rows: Row[]; ended: boolean }
  | { id: number; result: unknown }
  | { id: number; error: string }

const ROOM = 32 // points that an ending may have, however long the drawing is already
const FARTHEST = 1000 // offsets are clamped to this before they are scaled, as in training

const scope = self as unknown as {
  postMessage(answer: Answer): void
  onmessage: (event: MessageEvent<Request>) => void
}

let infos: SiteModel[] = []
let base = ''
const models = new Map<string, Promise<OnnxModel>>()
const maps = new Map<string, Promise<LatentMap>>()
const warming = new AbortController()
const running = new Map<number, AbortController>()

scope.onmessage = ({ data }) => {
  if ('open' in data) {
    ;({ open: infos, base } = data)
    void prepare()
  } else if ('stop' in data) {
    running.get(data.id)?.abort()
  } else {
    void answer(data.id, data.call, data.model, data.options, data.streamed)
  }
}

/** All that is needed is fetched at once, so that the page goes on without a network. */
async function prepare(): Promise<void> {
  for (const info of infos) {
    const map = mapOf(info).catch(() => {}) // what fails is told to whoever asks for it
    await modelOf(info)
      .then((model) => warmUp(info, model))
      .catch(() => {})
    await map
  }
}

/** The browser makes code fast while it runs: let that happen before the first question, or until it comes. */
async function warmUp(info: SiteModel, model: OnnxModel): Promise<void> {
  const options = { temperature: 1, seed: 0 }
  const line = range(Math.min(20, info.max_length - 1)).map((i): Point => [i, i % 2])
  for (const n of [1, 9]) {
    await new Work(info, model, options, () => {}, warming.signal).do({
      name: 'complete',
      prefix: { lines: [line] },
      n,
    })
  }
}

async function answer(id: number, call: Call, model: string, options: Choice, streamed: boolean): Promise<void> {
  warming.abort()
  const controller = new AbortController()
  running.set(id, controller)
  try {
    const info = infos.find(({ name }) => name === model) ?? infos[0]!
    const onRows = (drawing: number, rows: Row[], ended: boolean) => {
      if (streamed) scope.postMessage({ id, drawing, rows, ended })
    }
    const result =
      call.name === 'map'
        ? await mapOf(info)
        : await new Work(info, await modelOf(info), options, onRows, controller.signal).do(call)
    scope.postMessage({ id, result })
  } catch (error) {
    scope.postMessage({ id, error: error instanceof Error ? error.message : String(error) })
  } finally {
    running.delete(id)
  }
}

function modelOf(info: SiteModel): Promise<OnnxModel> {
  return once(models, info.name, () => OnnxModel.load(info, base))
}

function mapOf(info: SiteModel): Promise<LatentMap> {
  return once(maps, info.name, async () => {
    if (!info.files.map) throw new Error(text.inBrowser.noMap)
    return (await (await fetchFile(info.files.map, base)).json()) as LatentMap
  })
}

/** What was begun once is not begun again, unless it failed. */
function once<T>(known: Map<string, Promise<T>>, name: string, begin: () => Promise<T>): Promise<T> {
  const found = known.get(name) ?? begin()
  known.set(name, found)
  found.catch(() => known.delete(name))
  return found
}

/** One call. Drawings come in and go out in the model's units; between, everything is normalised. */
class Work {
  constructor(
    private info: SiteModel,
    private network: OnnxModel,
    private options: Choice,
    private onRows: (drawing: number, rows: Row[], ended: boolean) => void,
    private signal: AbortSignal,
  ) {}

  async do(call: Exclude<Call, { name: 'map' }>): Promise<Drawing[] | Mixture[] | number[][]> {
    switch (call.name) {
      case 'sample':
        return this.draw(range(call.n).map((i) => this.task(this.info.conditional ? this.noise(i) : null, i)))
      case 'complete':
        return this.complete(call.prefix, call.n, call.z)
      case 'reconstruct': {
        const [mu] = await this.mu([call.drawing])
        return this.draw(call.temperatures.map((t) => this.task(mu!, 0, t)))
      }
      case 'interpolate': {
        const [a, b] = (await this.mu([call.a, call.b])).map((mu) => [...mu])
        const way = range(call.steps).map((i) => slerp(a!, b!, i / Math.max(1, call.steps - 1)))
        return this.draw(way.map((z) => this.task(row(z), 0)))
      }
      case 'analogy': {
        const [a, b, c] = await this.mu([call.a, call.b, call.c])
        const z = a!.map((value, i) => value + (b![i]! - c![i]!))
        return this.draw(range(call.n).map((i) => this.task(z, i)))
      }
      case 'encode':
        return (await this.mu(call.drawings)).map((mu) => [...mu])
      case 'decode':
        return this.draw(call.z.map((z) => this.task(row(z), 0)))
      case 'density': {
        const rows = this.normalised(call.drawing)
        const z = this.info.conditional ? (row(call.z) ?? (await this.mu([call.drawing]))[0]!) : null
        const expected = await predictions(this.network, z, rows, this.signal)
        const whole = [...expected.slice(0, numPoints(call.drawing) - rows.length), ...expected]
        return whole.map((mixture) => this.inUnits(mixture))
      }
    }
  }

  private async complete(prefix: Drawing, n: number, given?: number[][]): Promise<Drawing[]> {
    const rows = this.normalised(prefix)
    const z = this.info.conditional ? this.intentions(n, given) : []
    const tasks = range(n).map((i) => this.task(z[i] ?? null, i))
    return this.draw(tasks, prefix, rows)
  }

  /** z for each of n endings: what is given, else what the whole may become, drawn anew for each from N(0, I). */
  private intentions(n: number, given?: number[][]): Float32Array[] {
    if (given) return range(n).map((i) => row(given[given.length === 1 ? 0 : i])!)
    return range(n).map((i) => Float32Array.from(this.noise(i)))
  }

  private async draw(tasks: Task[], prefix: Drawing = { lines: [] }, given: Row[] = []): Promise<Drawing[]> {
    const factor = this.info.scale_factor
    const start = prefix.lines.findLast((line) => line.length > 0)?.at(-1) ?? [0, 0]
    const pens = tasks.map(() => new Pen(start))
    // such a model's first offset is a line from where the pen is put down
    const { from_first_point, first_offset } = this.info.data
    const isNew = numPoints(prefix) === 0
    const penDown: Row[] = isNew && (from_first_point || first_offset === 'line') ? [[0, 0, 0]] : []
    const onRows = (i: number, rows: Row[], ended: boolean) => {
      const scaled = rows.map(([dx, dy, pen]): Row => [dx * factor, dy * factor, pen])
      if (rows.length > 0 && pens[i]!.lines.length === 0) scaled.unshift(...penDown)
      pens[i]!.add(scaled)
      this.onRows(i, scaled, ended)
    }
    const outside = penDown.length + numPoints(prefix) - given.length // points of which the decoder knows nothing
    const longest = Math.max(this.info.max_length - outside, given.length + (isNew ? 0 : ROOM), 1)
    const shared = { prefix: given, longest, seed: this.options.seed, signal: this.signal }
    await draw(this.network, tasks, shared, onRows)
    const label = this.info.labels.length === 1 ? { label: this.info.labels[0]! } : {}
    return pens.map((pen) => ({ lines: [...prefix.lines, ...pen.lines], ...label }))
  }

  private task(z: Float32Array | null, stream: number, temperature = this.options.temperature): Task {
    return { z, stream, temperature }
  }

  private async mu(drawings: Drawing[]): Promise<Float32Array[]> {
    return (await this.network.encode(drawings.map((drawing) => this.normalised(drawing)))).mu
  }

  private noise(stream: number): Float32Array {
    const random = new Random(this.options.seed, stream, LATENT)
    return Float32Array.from({ length: this.info.z_size ?? 0 }, () => random.normal())
  }

  private normalised(drawing: Drawing): Row[] {
    const scaled = (offset: number) => Math.min(FARTHEST, Math.max(-FARTHEST, offset)) / this.info.scale_factor
    const rows = rowsOf(drawing.lines).map(([dx, dy, pen]): Row => [scaled(dx), scaled(dy), pen])
    const { from_first_point, first_offset = 'position' } = this.info.data
    const first = rows[0]
    if (!first || (first_offset === 'position' && !from_first_point)) return rows
    const isDot = first[2] === 1 // which is no line's beginning
    return first_offset === 'line' && !isDot ? rows.slice(1) : [[0, 0, first[2]], ...rows.slice(1)]
  }

  private inUnits(mixture: Mixture): Mixture {
    const scaled = (values: number[]) => values.map((value) => value * this.info.scale_factor)
    return {
      ...mixture,
      muX: scaled(mixture.muX),
      muY: scaled(mixture.muY),
      sigmaX: scaled(mixture.sigmaX),
      sigmaY: scaled(mixture.sigmaY),
    }
  }
}

function numPoints(drawing: Drawing): number {
  return drawing.lines.flat().length
}

/** Offsets, the first from the origin; the pen lifts after the last point of every line. */
function rowsOf(lines: Line[]): Row[] {
  let at: Point = [0, 0]
  return lines.flatMap((line) =>
    line.map((point, i): Row => {
      const row: Row = [point[0] - at[0], point[1] - at[1], i === line.length - 1 ? 1 : 0]
      at = point
      return row
    }),
  )
}

function row(z: number[] | undefined): Float32Array | null {
  return z ? Float32Array.from(z) : null
}

function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i)
}
