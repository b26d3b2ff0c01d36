// A model's ONNX files (docs/formats.md says what goes in and out of them), run by onnxruntime's WebAssembly on one thread.

import * as ort from 'onnxruntime-web/wasm'
import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url'
import type { Model, Row } from './backend'
import type { Decoder, Step, Table } from './sampler'
import { text } from './text'

/** What `site.json` says of a model. */
export interface SiteModel extends Model {
  data: {
    start_token: number[]
    from_first_point?: boolean // the drawings that it learned from began at their first point, whose offset counts as 0
    first_offset?: 'position' | 'zero' | 'line' // what the first row of those drawings is: docs/formats.md
  }
  files: { decoder: string; encoder?: string; start?: string; map?: string }
}

// Several threads would need a server that sends special headers; a static host sends none.
ort.env.wasm.numThreads = 1
ort.env.wasm.wasmPaths = { wasm }

export class OnnxModel implements Decoder {
  readonly startToken: number[]

  private constructor(
    info: SiteModel,
    private decoder: ort.InferenceSession,
    private starter: ort.InferenceSession | null,
    private encoder: ort.InferenceSession | null,
  ) {
    this.startToken = info.data.start_token
  }

  static async load(info: SiteModel, base: string): Promise<OnnxModel> {
    const { decoder, start, encoder } = info.files
    const bytes = await Promise.all([decoder, start, encoder].map((file) => (file ? download(file, base) : null)))
    const sessions: (ort.InferenceSession | null)[] = []
    for (const content of bytes) {
      sessions.push(content && (await ort.InferenceSession.create(content, { executionProviders: ['wasm'] })))
    }
    return new OnnxModel(info, sessions[0]!, sessions[1] ?? null, sessions[2] ?? null)
  }

  /** mu and sigma of normalised drawings. */
  async encode(drawings: Row[][]): Promise<{ mu: Float32Array[]; sigma: Float32Array[] }> {
    if (!this.encoder) throw new Error(text.inBrowser.noEncoder)
    const steps = Math.max(1, ...drawings.map((rows) => rows.length)) // a graph cannot loop over nothing
    const points = new Float32Array(steps * drawings.length * 5)
    drawings.forEach((rows, b) =>
      rows.forEach(([dx, dy, pen], t) => points.set([dx, dy, 1 - pen, pen, 0], (t * drawings.length + b) * 5)),
    )
    const found = await run(this.encoder, {
      points: new ort.Tensor('float32', points, [steps, drawings.length, 5]),
      lengths: new ort.Tensor(
        'int64',
        BigInt64Array.from(drawings, (rows) => BigInt(rows.length)),
        [drawings.length],
      ),
    })
    const rows = (name: string) => {
      const { data, width } = tableFrom(found[name]!)
      return drawings.map((_, i) => data.slice(i * width, (i + 1) * width))
    }
    return { mu: rows('mu'), sigma: rows('sigma') }
  }

  async start(z: Table | null, rows: number): Promise<Table[]> {
    if (this.starter && z) {
      const found = await run(this.starter, { z: tensor(z) })
      return this.starter.outputNames.map((name) => tableFrom(found[name]!))
    }
    const states = this.decoder.inputMetadata.filter(({ name }) => name.startsWith('state_'))
    return states.map((state) => {
      const width = state.isTensor ? Number(state.shape[1]) : 0
      return { data: new Float32Array(rows * width), width }
    })
  }

  async step(tokens: Table, z: Table | null, states: Table[]): Promise<Step> {
    const feeds: Record<string, ort.Tensor> = { token: tensor(tokens) }
    if (z) feeds.z = tensor(z)
    states.forEach((state, k) => (feeds[`state_${k}`] = tensor(state)))
    const found = await run(this.decoder, feeds)
    const values = (name: string) => found[name]!.data as Float32Array
    return {
      logits_pi: values('logits_pi'),
      mu_x: values('mu_x'),
      mu_y: values('mu_y'),
      log_sigma_x: values('log_sigma_x'),
      log_sigma_y: values('log_sigma_y'),
      rho: values('rho'),
      logits_q: values('logits_q'),
      states: states.map((_, k) => tableFrom(found[`next_state_${k}`]!)),
    }
  }
}

let last: Promise<unknown> = Promise.resolve()

/** A run of a graph, after all that were asked for before: two that overlap spoil each other's outputs. */
function run(
  session: ort.InferenceSession,
  feeds: Record<string, ort.Tensor>,
): Promise<ort.InferenceSession.ReturnType> {
  const result = last.then(() => session.run(feeds))
  last = result.catch(() => {})
  return result
}

async function download(file: string, base: string): Promise<Uint8Array> {
  return new Uint8Array(await (await fetchFile(file, base)).arrayBuffer())
}

/** A file of the site. */
export async function fetchFile(file: string, base: string): Promise<Response> {
  const response = await fetch(new URL(file, base)).catch(() => null)
  if (!response?.ok) throw new Error(text.inBrowser.missing(file))
  return response
}

function tensor({ data, width }: Table): ort.Tensor {
  return new ort.Tensor('float32', data, [data.length / width, width])
}

function tableFrom(value: ort.Tensor): Table {
  return { data: value.data as Float32Array, width: value.dims.at(-1)! }
}
