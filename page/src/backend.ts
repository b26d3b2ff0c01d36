// What the page asks of whatever computes for it: a server (http.ts), or this browser itself (onnx.ts).
// Every drawing here is in the model's own units, those of its training data, with y downwards.

export type Point = [x: number, y: number]
export type Line = Point[]

/** One list of absolute positions for each stroke of the pen; the pen has lifted after every one. */
export interface Drawing {
  lines: Line[]
  label?: string
}

export interface Model {
  name: string
  conditional: boolean // it has an encoder and a z; without, it only samples and completes
  encoder_cell: string | null
  decoder_cell: string
  z_size: number | null // N_z
  num_mixtures: number // M
  decoder_size: number
  max_length: number // N_max
  scale_factor: number
  size: number // median longer side of the drawings it learned from; 0 where unknown
  labels: string[]
  licence: string
  parameters: number
}

/** What the model expects of one point: the paper's letters, in the drawing's own units, before any temperature. */
export interface Mixture {
  pi: number[]
  muX: number[] // offsets from the point before
  muY: number[]
  sigmaX: number[]
  sigmaY: number[]
  rho: number[]
  q: [down: number, lifts: number, ends: number] // of the pen after the point
}

export interface MapPoint {
  x: number
  y: number
  z: number[]
  drawing: Drawing
}

export interface LatentMap {
  explained: number[] // share of the variance of mu that each axis holds
  points: MapPoint[]
  source: string // "test drawings of cat", "samples of the model"
}

/** Whether these are drawings of what the model learned to draw: a server may have been given those of another. */
export function isOwn(map: LatentMap, { labels }: Model): boolean {
  return labels.length === 0 || map.points.every(({ drawing: { label } }) => !label || labels.includes(label))
}

export interface Options {
  temperature: number // tau: 0 is the most likely, 1 as the model learned
  seed: number
  signal?: AbortSignal
  z?: number[][] | undefined // `complete`: one for each ending, or one for all; without it, one from N(0, I) for each
}

/** (dx, dy, pen): an offset from the point before, and 1 where the pen lifts after it. */
export type Row = [dx: number, dy: number, pen: number]

/** New points of one drawing, as they are drawn; `ended` when no more will come. */
export type OnPoints = (drawing: number, rows: Row[], ended: boolean) => void

/** Every failure is a `BackendError` with a sentence for the person; an aborted call throws the signal's reason. */
export interface Backend {
  models(): Promise<Model[]>
  sample(model: string, n: number, options: Options, onPoints?: OnPoints): Promise<Drawing[]>
  /** n endings; each begins with the lines of `prefix`. The rows that `onPoints` gets begin after the prefix. */
  complete(model: string, prefix: Drawing, n: number, options: Options, onPoints?: OnPoints): Promise<Drawing[]>
  /** One drawing for each temperature; that of the options is not used. */
  reconstruct(model: string, drawing: Drawing, temperatures: number[], options: Options): Promise<Drawing[]>
  interpolate(model: string, a: Drawing, b: Drawing, steps: number, options: Options): Promise<Drawing[]>
  analogy(model: string, a: Drawing, b: Drawing, c: Drawing, n: number, options: Options): Promise<Drawing[]>
  /** mu of each drawing. */
  encode(model: string, drawings: Drawing[], signal?: AbortSignal): Promise<number[][]>
  decode(model: string, z: number[][], options: Options): Promise<Drawing[]>
  /**
   * n + 1 mixtures for n points: row i is the prediction of point i from those before it, the last of what comes next.
   * Without z, a conditional model takes that of the drawing.
   */
  density(model: string, drawing: Drawing, z?: number[], signal?: AbortSignal): Promise<Mixture[]>
  map(model: string, signal?: AbortSignal): Promise<LatentMap>
  /** The drawings in a file, in the file's own units. */
  read(name: string, bytes: ArrayBuffer): Promise<Drawing[]>
}

/** `offline`: nothing answers; `busy`: not now: it helps to wait. `token`: one is wanted. `refused`: the sentence says why. */
export type Trouble = 'offline' | 'busy' | 'token' | 'refused'

export function mayPass(error: unknown): error is BackendError {
  return error instanceof BackendError && (error.trouble === 'offline' || error.trouble === 'busy')
}

export class BackendError extends Error {
  override name = 'BackendError'
  constructor(
    message: string,
    readonly trouble: Trouble = 'refused',
  ) {
    super(message)
  }
}
