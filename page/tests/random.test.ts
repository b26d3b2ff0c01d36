import { expect, test } from 'vitest'
import { normal } from '../src/random'

test('the same seed gives the same numbers, another seed others', () => {
  expect(normal(3, 5)).toEqual(normal(3, 5))
  expect(normal(3, 5)).not.toEqual(normal(4, 5))
})

test('mean 0 and variance 1, within a seed and across seeds', () => {
  for (const values of [normal(1, 20_000), Array.from({ length: 20_000 }, (_, seed) => normal(seed, 1)[0]!)]) {
    const mean = values.reduce((a, b) => a + b) / values.length
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length
    expect(Math.abs(mean)).toBeLessThan(0.03)
    expect(Math.abs(variance - 1)).toBeLessThan(0.05)
  }
})
