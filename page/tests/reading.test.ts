import { describe, expect, test } from 'vitest'
import { looksLikeSvg, readInPage, readNdjson } from '../src/reading'

const bytes = (text: string) => new TextEncoder().encode(text).buffer as ArrayBuffer

describe('readNdjson', () => {
  test('reads simplified and raw drawings, and skips empty lines', () => {
    const drawings = readNdjson(
      '{"word": "cat", "drawing": [[[0, 5], [1, 6]], [[], []]]}\n\n{"drawing": [[[1], [2], [30]]]}\n',
    )
    expect(drawings).toEqual([
      {
        label: 'cat',
        lines: [
          [
            [0, 1],
            [5, 6],
          ],
        ],
      },
      { lines: [[[1, 2]]] },
    ])
  })

  test.each([
    'nothing',
    '{}',
    '{"drawing": 3}',
    '{"drawing": [[[1, 2], [1]]]}',
    '{"drawing": [[["a"], ["b"]]]}',
    'null',
  ])('refuses %s, naming the line', (row) => {
    expect(() => readNdjson(`{"drawing": []}\n${row}`)).toThrow(/Line 2/)
  })

  test('refuses more points than a drawing has', () => {
    const many = JSON.stringify(Array(30_000).fill(1))
    expect(() => readNdjson(`{"drawing": [[${many}, ${many}]]}`)).toThrow(/Line 1/)
  })
})

test('a file without a drawing says so', async () => {
  await expect(readInPage('empty.ndjson', bytes('\n'))).rejects.toThrow('empty.ndjson holds no drawing.')
})

test('a file that is too large is not read', async () => {
  await expect(readInPage('big.ndjson', new ArrayBuffer(6_000_000))).rejects.toThrow(/too large/)
})

test('looksLikeSvg', () => {
  expect(looksLikeSvg('\n<?xml version="1.0"?><svg/>')).toBe(true)
  expect(looksLikeSvg('<svg xmlns="x">')).toBe(true)
  expect(looksLikeSvg('{"drawing": []}')).toBe(false)
})
