import { describe, expect, it } from 'vitest'
import type { Row } from '../src/backend'
import { POINTS, Random } from '../src/random'
import {
  choose,
  type Decoder,
  draw,
  pointOf,
  predictions,
  type Step,
  type Table,
  tableOf,
  type Task,
} from '../src/sampler'

/** A decoder that counts: its state is the sum of all dx and the number of tokens; mu_x is that sum, plus z. */
class Counting implements Decoder {
  startToken = [0.5, 0, 1, 0, 0]
  batches: number[] = []

  /** A row ends after `lasts(z)` points (z is 0 without one). */
  constructor(
    private lasts: (z: number) => number,
    private logSigma = -20,
  ) {}

  start(z: Table | null, rows: number): Promise<Table[]> {
    expect(z === null || z.data.length === rows * z.width).toBe(true)
    return Promise.resolve([{ data: new Float32Array(rows * 2), width: 2 }])
  }

  step(tokens: Table, z: Table | null, [state]: Table[]): Promise<Step> {
    const rows = tokens.data.length / 5
    expect(state!.data.length).toBe(rows * 2)
    this.batches.push(rows)
    const of = (row: number) => (z ? z.data[row * z.width]! : 0)
    const table = (value: (row: number) => number[]) => tableOf(Array.from({ length: rows }, (_, i) => value(i)))!
    const next = table((i) => [state!.data[2 * i]! + tokens.data[5 * i]!, state!.data[2 * i + 1]! + 1])
    return Promise.resolve({
      logits_pi: table(() => [0]).data,
      mu_x: table((i) => [next.data[2 * i]! + of(i)]).data,
      mu_y: table(() => [-1]).data,
      log_sigma_x: table(() => [this.logSigma]).data,
      log_sigma_y: table(() => [this.logSigma]).data,
      rho: table(() => [0]).data,
      logits_q: table((i) => (next.data[2 * i + 1]! > this.lasts(of(i)) ? [0, 0, 100] : [100, 0, 0])).data,
      states: [next],
    })
  }
}

async function drawn(decoder: Decoder, tasks: Task[], prefix: Row[] = [], seed = 1, longest = 12) {
  const rows: Row[][] = tasks.map(() => [])
  const ended = tasks.map(() => 0)
  await draw(decoder, tasks, { prefix, longest, seed }, (i, points, end) => {
    rows[i]!.push(...points)
    ended[i]! += end ? 1 : 0
  })
  expect(ended).toEqual(tasks.map(() => 1))
  return rows
}

const task = (z: number | null, stream = 0, temperature = 0): Task => ({
  z: z === null ? null : Float32Array.of(z),
  stream,
  temperature,
})

describe('draw', () => {
  it('feeds the decoder with its own points, from the start token on', async () => {
    const [rows] = await drawn(new Counting(() => 4), [task(null)])
    expect(rows!.map(([dx]) => dx)).toEqual([0.5, 1, 2, 4])
    expect(rows!.every(([, dy, pen]) => dy === -1 && pen === 0)).toBe(true)
  })

  it('lets each end by itself, and goes on with fewer rows', async () => {
    const decoder = new Counting((z) => z)
    const rows = await drawn(decoder, [task(3), task(5), task(0), task(4)])
    expect(rows.map((each) => each.length)).toEqual([3, 5, 0, 4])
    expect(rows[1]!.slice(0, 2).map(([dx]) => dx)).toEqual([5.5, 11]) // 0.5 + z, then that more: its own z and state
    expect(decoder.batches).toEqual([4, 3, 3, 3, 2, 1])
  })

  it('reads what is given first, once where no z makes a difference', async () => {
    const prefix: Row[] = [
      [2, 0, 0],
      [3, 0, 1],
    ]
    const decoder = new Counting(() => 5)
    const rows = await drawn(decoder, [task(null), task(null, 1)], prefix)
    expect(rows.map((each) => each[0]![0])).toEqual([5.5, 5.5])
    expect(decoder.batches).toEqual([1, 1, 1, 2, 2, 2])
    const conditional = new Counting(() => 5)
    await drawn(conditional, [task(0), task(1)], prefix)
    expect(conditional.batches.slice(0, 3)).toEqual([2, 2, 2])
  })

  it('stops at the longest, what was given counted', async () => {
    const decoder = new Counting(() => 100)
    expect((await drawn(decoder, [task(null)]))[0]!.length).toBe(12)
    expect((await drawn(decoder, [task(null)], [[1, 0, 1]]))[0]!.length).toBe(11)
  })

  it('makes a drawing the same whatever is drawn beside it, by seed and stream', async () => {
    const decoder = new Counting((z) => 6 + z, 0)
    const many = await drawn(
      decoder,
      Array.from({ length: 100 }, (_, i) => task(i % 3, i, 0.7)),
    )
    expect(await drawn(decoder, [task(2, 65, 0.7)])).toEqual([many[65]])
    expect(await drawn(decoder, [task(2, 65, 0.7)], [], 2)).not.toEqual([many[65]])
    expect(many[0]).not.toEqual(many[3])
    const [a, b] = await drawn(decoder, [task(0, 5, 0.7), task(0, 5, 0.7)])
    expect(a).toEqual(b)
  })

  it('ends when asked to', async () => {
    const controller = new AbortController()
    const endless = new Counting(() => Infinity)
    endless.startToken = [0, 0, 1, 0, 0]
    setTimeout(() => controller.abort(new Error('enough')), 5)
    await expect(
      draw(endless, [task(null)], { prefix: [], longest: Infinity, seed: 0, signal: controller.signal }, () => {}),
    ).rejects.toThrow('enough')
  })

  it('tells of a model that has gone wild', async () => {
    await expect(drawn(new Counting(() => 5, 800), [task(null, 0, 1)])).rejects.toThrow('not finite')
  })
})

describe('predictions', () => {
  it('has one row for each point, and one for what follows', async () => {
    const drawing: Row[] = [
      [2, 0, 0],
      [3, 0, 1],
    ]
    const mixtures = await predictions(new Counting(() => 2), Float32Array.of(1), drawing)
    expect(mixtures.map((mixture) => mixture.muX)).toEqual([[1.5], [3.5], [6.5]])
    expect(mixtures[0]!.pi).toEqual([1])
    expect(mixtures[0]!.sigmaX[0]).toBeCloseTo(Math.exp(-20), 15)
    expect(mixtures.map((mixture) => mixture.q[2] > 0.5)).toEqual([false, false, true])
  })
})

describe('pointOf', () => {
  // two mixtures of two normals: the second is looked at, the first would give other points
  const step: Step = {
    logits_pi: Float32Array.of(9, 0, 1, 0.5),
    mu_x: Float32Array.of(0, 0, 3, -3),
    mu_y: Float32Array.of(0, 0, 1, -1),
    log_sigma_x: new Float32Array(4).fill(Math.log(0.5)),
    log_sigma_y: new Float32Array(4).fill(Math.log(0.25)),
    rho: new Float32Array(4).fill(0.8),
    logits_q: Float32Array.of(0, 0, 1, 0, 1, 0),
    states: [],
  }

  it('draws from the mixture of its row at the temperature', () => {
    const random = new Random(3, 0, POINTS)
    const tau = 0.5
    const points = Array.from({ length: 20000 }, () => pointOf(step, 1, tau, random))
    const first = points.filter(({ dx }) => dx > 0)
    expect(first.length / points.length).toBeCloseTo(1 / (1 + Math.exp(-0.5 / tau)), 1.5)
    const u = first.map(({ dx }) => dx - 3)
    const v = first.map(({ dy }) => dy - 1)
    expect(mean(u.map((x) => x * x))).toBeCloseTo(0.25 * tau, 2)
    expect(mean(v.map((x) => x * x))).toBeCloseTo(0.0625 * tau, 2)
    expect(mean(u.map((x, i) => x * v[i]!))).toBeCloseTo(0.8 * 0.125 * tau, 2)
    const lifts = points.filter(({ pen }) => pen === 1).length / points.length
    expect(lifts).toBeCloseTo(Math.exp(1 / tau) / (Math.exp(1 / tau) + 2), 1.5)
  })

  it('takes the likeliest at 0', () => {
    expect(pointOf(step, 1, 0, new Random(0, 0, POINTS))).toEqual({ dx: 3, dy: 1, pen: 1 })
  })
})

describe('choose', () => {
  it('inverts the sum of the probabilities', () => {
    const logits = Float32Array.of(Math.log(0.2), Math.log(0.5), Math.log(0.3))
    expect([0, 0.19, 0.21, 0.69, 0.71, 0.999999].map((u) => choose(logits, 0, 3, 1, u))).toEqual([0, 0, 1, 1, 2, 2])
    expect(choose(Float32Array.of(500, -500), 0, 2, 0.01, 0.9)).toBe(0)
  })
})

describe('Random', () => {
  it('is uniform, and standard normal', () => {
    const random = new Random(1, 2, POINTS)
    const uniform = Array.from({ length: 20000 }, () => random.uniform())
    const normal = Array.from({ length: 20000 }, () => random.normal())
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...uniform)).toBeLessThan(1)
    expect(mean(uniform)).toBeCloseTo(0.5, 1.7)
    expect(mean(normal)).toBeCloseTo(0, 1.2)
    expect(mean(normal.map((x) => x * x))).toBeCloseTo(1, 1.2)
    for (let bin = 0; bin < 10; bin++) {
      expect(uniform.filter((u) => Math.floor(10 * u) === bin).length / 2000).toBeCloseTo(1, 0.8)
    }
  })

  it('has nothing in common between seeds and streams', () => {
    const firsts = new Set<number>()
    for (let seed = 0; seed < 50; seed++) {
      for (let stream = 0; stream < 50; stream++) firsts.add(new Random(seed, stream, POINTS).uniform())
    }
    expect(firsts.size).toBeGreaterThan(2495) // of 2500, where 16 million numbers are possible
    expect(new Random(2 ** 40, 0, POINTS).uniform()).not.toBe(new Random(0, 0, POINTS).uniform())
    expect(new Random(7, 7, POINTS).uniform()).toBe(new Random(7, 7, POINTS).uniform())
  })
})

function mean(values: number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length
}
