import { expect, test } from 'vitest'
import { Answer } from '../src/answer'
import type { Point, Row } from '../src/backend'

const same = (point: Point) => point
const rows: Row[] = Array.from({ length: 100 }, (_, i) => [1, 0, i % 10 === 9 ? 1 : 0])

test('the first stroke is there in the first moment, the rest grows', () => {
  const answer = new Answer([0, 0], same)
  expect(answer.advance(16)).toBe(true)
  expect(answer.visible()).toEqual([])
  answer.add(rows, false)
  answer.advance(1)
  expect(answer.visible()[0]!.points).toHaveLength(2)
  answer.advance(100)
  expect(answer.shownPoints).toBeGreaterThan(5)
  expect(answer.shownPoints).toBeLessThan(50)
})

test('it ends when all is shown and no more comes', () => {
  const answer = new Answer([0, 0], same)
  answer.add(rows, true)
  let steps = 0
  while (answer.advance(50)) steps++
  expect(answer.finished).toBe(true)
  expect(50 * steps).toBeLessThan(2500)
  expect(answer.strokes()).toHaveLength(10)
})
