import { describe, expect, test } from 'vitest'
import type { Line } from '../src/backend'
import { Pen, bounds, distanceToSegment, fitInto, head, inked, pathData, simplify } from '../src/strokes'

describe('simplify', () => {
  test('leaves out what lies on a straight line, and keeps the ends and the corner', () => {
    const line: Line = [
      [0, 0],
      [5, 0.1],
      [10, 0],
      [10, 5],
      [10, 10],
    ]
    expect(simplify(line, 0.5)).toEqual([
      [0, 0],
      [10, 0],
      [10, 10],
    ])
  })

  test('measures to the segment, not to the endless line: a stroke that turns back keeps its tip', () => {
    const line: Line = [
      [0, 0],
      [20, 0],
      [10, 0],
    ]
    expect(simplify(line, 1)).toEqual(line)
  })

  test('no point that was left out is farther than epsilon from what remains', () => {
    const line: Line = Array.from({ length: 300 }, (_, i) => [i, 40 * Math.sin(i / 17) + 3 * Math.cos(i)])
    const kept = simplify(line, 2)
    expect(kept.length).toBeLessThan(150)
    for (const point of line) {
      const distances = kept.slice(1).map((end, i) => distanceToSegment(point, kept[i]!, end))
      expect(Math.min(...distances)).toBeLessThanOrEqual(2)
    }
  })
})

test('distanceToSegment', () => {
  expect(distanceToSegment([5, 3], [0, 0], [10, 0])).toBeCloseTo(3)
  expect(distanceToSegment([13, 4], [0, 0], [10, 0])).toBeCloseTo(5)
  expect(distanceToSegment([3, 4], [0, 0], [0, 0])).toBeCloseTo(5)
})

test('bounds are of all points, and there are none of nothing', () => {
  const lines: Line[] = [
    [
      [3, 4],
      [-1, 9],
    ],
    [[7, 2]],
  ]
  expect(bounds(lines)).toEqual({ left: -1, top: 2, right: 7, bottom: 9 })
  expect(bounds([])).toBeNull()
  expect(bounds([[]])).toBeNull()
})

describe('fitInto', () => {
  const box = { left: 100, top: 100, right: 300, bottom: 200 }

  test('keeps the proportions and the middle', () => {
    const square: Line[] = [
      [
        [0, 0],
        [10, 10],
      ],
    ]
    expect(fitInto(square, box)).toEqual([
      [
        [150, 100],
        [250, 200],
      ],
    ])
  })

  test('only moves a dot', () => {
    expect(fitInto([[[5, 5]]], box)).toEqual([[[200, 150]]])
  })
})

describe('Pen', () => {
  test('draws from the point given, and begins a line after every lift, however the rows are cut', () => {
    const whole = new Pen([10, 10])
    whole.add([
      [1, 0, 0],
      [1, 0, 1],
      [5, 5, 0],
      [0, 1, 1],
    ])
    expect(whole.lines).toEqual([
      [
        [11, 10],
        [12, 10],
      ],
      [
        [17, 15],
        [17, 16],
      ],
    ])
    const parts = new Pen([10, 10])
    parts.add([[1, 0, 0]])
    parts.add([
      [1, 0, 1],
      [5, 5, 0],
    ])
    parts.add([[0, 1, 1]])
    expect(parts.lines).toEqual(whole.lines)
  })
})

test('head cuts within a stroke and between strokes', () => {
  const strokes = inked(
    [
      [
        [0, 0],
        [1, 1],
      ],
      [
        [2, 2],
        [3, 3],
      ],
    ],
    'person',
  )
  expect(head(strokes, 3).map((stroke) => stroke.points.length)).toEqual([2, 1])
  expect(head(strokes, 2)).toHaveLength(1)
  expect(head(strokes, 0)).toEqual([])
})

test('pathData gives a dot a line of no length', () => {
  expect(
    pathData([
      [[1, 2]],
      [
        [0, 0],
        [3.14159, 4],
      ],
    ]),
  ).toBe('M1 2L1 2M0 0L3.1 4')
})
