// The sampler of the site without a server: the decoder fed with its own points, for many drawings at once, with the
// temperature and the random choice of the package's own. Everything here is in normalised units.

import type { Mixture, Row } from './backend'
import { POINTS, Random } from './random'
import { text } from './text'

const AT_ONCE = 64 // drawings in one step of the decoder
const TAKE_TURNS = 12 // ms of work, then the thread sees to what else has come: a request to stop, for instance
const LIFTS = 1
const ENDS = 2

/** A (rows, width) table of float32. */
export interface Table {
  data: Float32Array
  width: number
}

/** What the decoder says of the next point: (rows, M) each, `logits_q` (rows, 3); and its state after the step. */
export interface Step {
  logits_pi: Float32Array
  mu_x: Float32Array
  mu_y: Float32Array
  log_sigma_x: Float32Array
  log_sigma_y: Float32Array
  rho: Float32Array
  logits_q: Float32Array
  states: Table[]
}

/** A decoder, wherever it runs. */
export interface Decoder {
  startToken: readonly number[]
  /** The states before the first step: of z (rows, N_z), or zeros. */
  start(z: Table | null, rows: number): Promise<Table[]>
  step(tokens: Table, z: Table | null, states: Table[]): Promise<Step>
}

/** One drawing to make. */
export interface Task {
  z: Float32Array | null
  stream: number // of random numbers: equal streams make equal choices
  temperature: number
}

/** What all drawings of one call share. */
export interface Shared {
  prefix: Row[] // what each reads first, normalised
  longest: number // points that a drawing may have, the prefix among them
  seed: number
  signal?: AbortSignal | undefined
}

/** New points of task i, normalised; `ended` when no more will come. */
export type OnRows = (i: number, rows: Row[], ended: boolean) => void

/**
 * Draws all tasks. Each reads the prefix, and goes on from there until it ends or is as long as it may be.
 * A drawing does not depend on those beside it, but for the rounding of the products.
 */
export async function draw(decoder: Decoder, tasks: Task[], shared: Shared, onRows: OnRows): Promise<void> {
  for (let first = 0; first < tasks.length; first += AT_ONCE) {
    const part = tasks.slice(first, first + AT_ONCE)
    await drawTogether(decoder, part, shared, (i, rows, ended) => onRows(first + i, rows, ended))
  }
}

async function drawTogether(
  decoder: Decoder,
  tasks: Task[],
  { prefix, longest, seed, signal }: Shared,
  onRows: OnRows,
): Promise<void> {
  const turns = new Turns(signal)
  const random = tasks.map((task) => new Random(seed, task.stream, POINTS))
  let live = tasks.map((_, i) => i)
  let z = tableOf(tasks.map((task) => task.z))
  let step = await read(decoder, z, live.length, prefix, turns)
  let fresh: Row[][] = tasks.map(() => []) // drawn, but not told yet
  const tell = (i: number, ended: boolean) => {
    if (ended || fresh[i]!.length > 0) onRows(i, fresh[i]!, ended)
    fresh[i] = []
  }

  for (let length = prefix.length; ; length++) {
    const points = live.map((i, row) => pointOf(step, row, tasks[i]!.temperature, random[i]!))
    const going: number[] = [] // rows of those that do not end here
    points.forEach(({ dx, dy, pen }, row) => {
      if (pen !== ENDS) fresh[live[row]!]!.push([dx, dy, pen === LIFTS ? 1 : 0])
      if (pen !== ENDS && length + 1 < longest) going.push(row)
      else tell(live[row]!, true)
    })
    if (going.length === 0) return
    if (await turns.pass()) live.forEach((i) => tell(i, false))
    let states = step.states
    if (going.length < live.length) {
      // the batch shrinks: no work is done for those that have ended
      live = going.map((row) => live[row]!)
      states = states.map((state) => pick(state, going))
      z = z && pick(z, going)
    }
    const tokens = going.map((row) => token(points[row]!))
    step = await decoder.step(tableOf(tokens)!, z, states)
  }
}

/** The mixtures (prefix + 1) that one decoder predicts for each point of a drawing, and for what follows it. */
export async function predictions(
  decoder: Decoder,
  z: Float32Array | null,
  drawing: Row[],
  signal?: AbortSignal,
): Promise<Mixture[]> {
  const mixtures: Mixture[] = []
  await read(decoder, tableOf([z]), 1, drawing, new Turns(signal), (step) => mixtures.push(mixtureOf(step, 0)))
  return mixtures
}

/** The decoder's last step over the start token and all points of the prefix, the same for every row. */
async function read(
  decoder: Decoder,
  z: Table | null,
  rows: number,
  prefix: Row[],
  turns: Turns,
  onStep?: (step: Step) => void,
): Promise<Step> {
  const alike = z === null ? 1 : rows // without z all rows read the same thing: once is enough
  let states = await decoder.start(z, alike)
  let step: Step | null = null
  const given = [decoder.startToken, ...prefix.map(([dx, dy, pen]) => token({ dx, dy, pen }))]
  for (const next of given) {
    await turns.pass()
    step = await decoder.step(repeat(next, alike), z, states)
    states = step.states
    onStep?.(step)
  }
  return alike === rows ? step! : spread(step!, rows)
}

function spread(step: Step, rows: number): Step {
  const all = (values: Float32Array) => repeat(values, rows).data
  return {
    logits_pi: all(step.logits_pi),
    mu_x: all(step.mu_x),
    mu_y: all(step.mu_y),
    log_sigma_x: all(step.log_sigma_x),
    log_sigma_y: all(step.log_sigma_y),
    rho: all(step.rho),
    logits_q: all(step.logits_q),
    states: step.states.map((state) => repeat(state.data, rows)),
  }
}

// -- one point

interface Drawn {
  dx: number
  dy: number
  pen: number // 0 a line follows, 1 the pen lifts, 2 the drawing has ended
}

/** Logits divided by the temperature, variances multiplied; at 0 the likeliest pen state and the heaviest normal's mean. */
export function pointOf(step: Step, row: number, temperature: number, random: Random): Drawn {
  const numMixtures = step.logits_pi.length / (step.logits_q.length / 3)
  const k = row * numMixtures + choose(step.logits_pi, row * numMixtures, numMixtures, temperature, random.uniform())
  const pen = choose(step.logits_q, row * 3, 3, temperature, random.uniform())
  const [u, v] = [random.normal(), random.normal()]
  const spread = Math.sqrt(temperature)
  const rho = step.rho[k]!
  const dx = step.mu_x[k]! + spread * Math.exp(step.log_sigma_x[k]!) * u
  const dy = step.mu_y[k]! + spread * Math.exp(step.log_sigma_y[k]!) * (rho * u + Math.sqrt(1 - rho * rho) * v)
  if (!Number.isFinite(dx) || !Number.isFinite(dy)) throw new Error(text.inBrowser.notFinite)
  return { dx: Math.fround(dx), dy: Math.fround(dy), pen }
}

/** An index below `count`, by inverting the sum of the probabilities at `uniform`. */
export function choose(
  logits: Float32Array,
  start: number,
  count: number,
  temperature: number,
  uniform: number,
): number {
  let best = 0
  for (let i = 1; i < count; i++) if (logits[start + i]! > logits[start + best]!) best = i
  if (!(temperature > 1e-30)) return best
  const weight = (i: number) => Math.exp((logits[start + i]! - logits[start + best]!) / temperature)
  let sum = 0
  for (let i = 0; i < count; i++) sum += weight(i)
  let rest = uniform * sum
  for (let i = 0; i < count - 1; i++) {
    rest -= weight(i)
    if (rest < 0) return i
  }
  return count - 1
}

function mixtureOf(step: Step, row: number): Mixture {
  const numMixtures = step.logits_pi.length / (step.logits_q.length / 3)
  const part = (values: Float32Array) => [...values.subarray(row * numMixtures, (row + 1) * numMixtures)]
  const q = softmax([...step.logits_q.subarray(row * 3, row * 3 + 3)])
  return {
    pi: softmax(part(step.logits_pi)),
    muX: part(step.mu_x),
    muY: part(step.mu_y),
    sigmaX: part(step.log_sigma_x).map(Math.exp),
    sigmaY: part(step.log_sigma_y).map(Math.exp),
    rho: part(step.rho),
    q: [q[0]!, q[1]!, q[2]!],
  }
}

function softmax(logits: number[]): number[] {
  const most = Math.max(...logits)
  const powers = logits.map((logit) => Math.exp(logit - most))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / sum)
}

function token({ dx, dy, pen }: Drawn): number[] {
  return [dx, dy, pen === 0 ? 1 : 0, pen === LIFTS ? 1 : 0, 0]
}

// -- tables

/** Null where there is no row, or the rows are null. */
export function tableOf(rows: readonly (ArrayLike<number> | null)[]): Table | null {
  if (!rows[0]) return null
  const width = rows[0].length
  const data = new Float32Array(rows.length * width)
  rows.forEach((row, i) => data.set(row!, i * width))
  return { data, width }
}

function repeat(row: ArrayLike<number>, rows: number): Table {
  return tableOf(Array.from({ length: rows }, () => row))!
}

function pick({ data, width }: Table, rows: number[]): Table {
  return tableOf(rows.map((row) => data.subarray(row * width, (row + 1) * width)))!
}

// -- taking turns

class Turns {
  private since = performance.now()
  private channel = new MessageChannel()

  constructor(private signal?: AbortSignal) {}

  /** Lets the thread see to other things, if it is time for that; says whether it was. Throws when asked to stop. */
  async pass(): Promise<boolean> {
    if (performance.now() - this.since < TAKE_TURNS) return false
    await new Promise((resolve) => {
      // not by a timer: browsers make those wait 4 ms
      this.channel.port1.onmessage = resolve
      this.channel.port2.postMessage(null)
    })
    this.channel.port1.onmessage = null
    this.since = performance.now()
    this.signal?.throwIfAborted()
    return true
  }
}
