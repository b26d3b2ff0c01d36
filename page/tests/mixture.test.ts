import { expect, test } from 'vitest'
import { atTemperature, ellipses, slerp } from '../src/mixture'

const mixture = {
  pi: [0.8, 0.2],
  muX: [10, -10],
  muY: [0, 5],
  sigmaX: [4, 1],
  sigmaY: [1, 1],
  rho: [0, 0.6],
  q: [0.9, 0.1, 0] as [number, number, number],
}

test('temperature 1 changes nothing; lower sharpens the shares and narrows the clouds', () => {
  const one = atTemperature(mixture, 1)
  expect(one.pi[0]).toBeCloseTo(0.8)
  expect(one.sigmaX).toEqual(mixture.sigmaX)
  const half = atTemperature(mixture, 0.5)
  expect(half.pi[0]).toBeCloseTo(0.64 / 0.68)
  expect(half.q[0]).toBeCloseTo(0.81 / 0.82)
  expect(half.sigmaX[0]).toBeCloseTo(4 * Math.SQRT1_2)
  const cold = atTemperature(mixture, 0)
  expect(cold.pi[0]).toBeCloseTo(1)
  expect(cold.q).toEqual([1, expect.closeTo(0), 0])
})

test('ellipses: axes are the standard deviations, turned by the correlation, the likeliest last', () => {
  const [second, first] = ellipses(mixture)
  expect(first).toMatchObject({ x: 10, y: 0, major: 4, minor: 1, angle: 0, share: 0.8 })
  expect(second!.angle).toBeCloseTo(Math.PI / 4)
  expect(second!.major).toBeCloseTo(Math.sqrt(1.6))
  expect(second!.minor).toBeCloseTo(Math.sqrt(0.4))
})

test('components that hardly count are left out', () => {
  expect(ellipses({ ...mixture, pi: [0.999, 0.001] })).toHaveLength(1)
})

test('slerp keeps the length of vectors of one length, and its ends', () => {
  const middle = slerp([1, 0], [0, 1], 0.5)
  expect(Math.hypot(...middle)).toBeCloseTo(1)
  expect(slerp([1, 2], [3, 4], 0)).toEqual([1, 2])
  expect(slerp([1, 1], [2, 2], 0.5)).toEqual([1.5, 1.5])
})
