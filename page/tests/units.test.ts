import { describe, expect, test } from 'vitest'
import { bounds, countPoints, inked } from '../src/strokes'
import { MARGIN, SHEET, WHOLE_SHEET, fitted, grown, placed, sizeOf, toModel, toSheet } from '../src/units'

const model = { size: 200, max_length: 100 }

test('the inner square of the sheet is 0 to size', () => {
  expect(toModel([MARGIN, MARGIN], model)).toEqual([0, 0])
  expect(toModel([SHEET - MARGIN, MARGIN], model)).toEqual([200, 0])
  expect(toSheet(toModel([123, 456], model), model)).toEqual([123, 456])
})

test('an unknown size is that of Quick, Draw!', () => {
  expect(sizeOf({ size: 0, max_length: 10 })).toBe(255)
})

describe('grown', () => {
  test('the paper stays as it is while it holds all points', () => {
    expect(grown(WHOLE_SHEET, [])).toBe(WHOLE_SHEET)
    expect(
      grown(WHOLE_SHEET, [
        [
          [0, 3],
          [SHEET, SHEET],
        ],
      ]),
    ).toBe(WHOLE_SHEET)
  })

  test('else it is a square around them with some room, and never smaller than before', () => {
    const wide = grown(WHOLE_SHEET, [[[1175, 500]]])
    expect(wide).toEqual({ left: 0, top: -100, right: 1200, bottom: 1100 })
    expect(grown(wide, [[[1199, -99]]])).toBe(wide)
    expect(grown(wide, [[[600, -200]]])).toEqual({ left: -62.5, top: -225, right: 1262.5, bottom: 1100 })
  })

  test('however far points lie, the sheet is still to be seen', () => {
    const farthest = grown(WHOLE_SHEET, [
      [
        [1e9, -1e9],
        [-1e9, 1e9],
      ],
    ])
    expect(farthest).toEqual({ left: -2000, top: -2000, right: 3000, bottom: 3000 })
    expect(grown(farthest, [[[1e9, 1e9]]])).toBe(farthest)
    expect(grown(WHOLE_SHEET, [[[NaN, NaN]]])).toBe(WHOLE_SHEET)
  })
})

const scribble = inked(
  [0, 1, 2].map((k) => Array.from({ length: 400 }, (_, i) => [200 + i, 200 + 100 * k + 30 * Math.sin(i / 9)])),
  'person',
)

describe('placed', () => {
  test('thins freehand ink to what the model is used to, keeping where strokes begin and end', () => {
    const { lines } = placed(scribble, { size: 255, max_length: 1000 })
    expect(lines).toHaveLength(3)
    expect(countPoints(lines)).toBeLessThan(200)
    const [x, y] = toModel([599, 200 + 30 * Math.sin(399 / 9)], { size: 255, max_length: 1000 })
    expect(lines[0]!.at(-1)![0]).toBeCloseTo(x)
    expect(lines[0]!.at(-1)![1]).toBeCloseTo(y)
  })

  test('leaves room for an answer, whatever the drawing', () => {
    expect(countPoints(placed(scribble, model).lines)).toBeLessThanOrEqual(75)
    const dots = inked(
      Array.from({ length: 300 }, (_, i) => [
        [i, 100],
        [i, 200],
      ]),
      'person',
    )
    expect(countPoints(placed(dots, model).lines)).toBeLessThanOrEqual(75)
  })

  test('of nothing is nothing', () => {
    expect(placed([], model).lines).toEqual([])
  })
})

test('fitted has its corner at the origin and the longer side of the model', () => {
  const box = bounds(fitted(scribble, { size: 255, max_length: 1000 }).lines)!
  expect(box.left).toBeCloseTo(0)
  expect(box.top).toBeCloseTo(0)
  expect(box.right).toBeCloseTo(255)
  expect(box.bottom).toBeLessThan(255)
})
