import { describe, expect, test } from 'vitest'
import { type Desk, fromLink, pack, toLink, unpack } from '../src/link'
import type { Stroke } from '../src/strokes'

const desk: Desk = {
  view: 'morph',
  model: 'cat',
  temperature: 0.35,
  seed: 12,
  sheets: {
    main: [
      {
        by: 'person',
        points: [
          [100, 200, 0.5],
          [300, 250, 0.5],
          [120, 400, 0.5],
        ],
      },
      { by: 'model', points: [[5, 6, 0.5]] },
    ],
    from: [
      {
        by: 'person',
        points: [
          [1, 2, 0.2],
          [30, 4, 0.8],
        ],
      },
    ],
    to: [],
  },
}

test('a link gives back what was put in', async () => {
  const back = await fromLink(await toLink(desk))
  expect(back).toMatchObject({ view: 'morph', model: 'cat', temperature: 0.35, seed: 12 })
  expect(back!.sheets.main).toEqual(desk.sheets.main)
  expect(back!.sheets.from![0]!.points.map((point) => point[2])).toEqual([0.2, 0.8])
  expect(back!.sheets.to).toBeUndefined()
})

test('a link is a word of an address, and short', async () => {
  const circle: Stroke = {
    by: 'person',
    points: Array.from({ length: 500 }, (_, i) => [500 + 300 * Math.cos(i / 80), 500 + 300 * Math.sin(i / 80), 0.5]),
  }
  const link = await toLink({ ...desk, sheets: { main: [circle] } })
  expect(link).toMatch(/^[\w-]+$/)
  expect(link.length).toBeLessThan(500)
})

describe('what is no link is null', () => {
  test.each(['', 'nonsense', '!!!', 'AAAA'])('%s', async (text) => {
    expect(await fromLink(text)).toBeNull()
  })

  test('one that was cut off', async () => {
    const link = await toLink(desk)
    expect(await fromLink(link.slice(0, -8))).toBeNull()
  })

  test('one that unpacks to more than a desk can hold', async () => {
    const bomb = new Blob(['"', 'a'.repeat(30_000_000), '"']).stream().pipeThrough(new CompressionStream('deflate-raw'))
    const bytes = new Uint8Array(await new Response(bomb).arrayBuffer())
    expect(bytes.length).toBeLessThan(100_000)
    expect(await fromLink(Buffer.from(bytes).toString('base64url'))).toBeNull()
  })
})

describe('what was packed by somebody else is checked', () => {
  const good = pack(desk) as { s: Record<string, unknown> }
  test.each([
    null,
    [],
    { ...good, v: 2 },
    { ...good, s: [] },
    { ...good, s: { main: 'x' } },
    { ...good, s: { main: [{ d: [1] }] } },
    { ...good, s: { main: [{ d: [1, 'x'] }] } },
    { ...good, s: { main: [{ d: [1e9, 0] }] } },
    { ...good, s: { main: [{ d: Array(200_000).fill(0) }] } },
  ])('%#', (value) => {
    expect(unpack(value)).toBeNull()
  })

  test('numbers out of range are brought back', () => {
    expect(unpack({ ...good, t: 99, seed: -5, view: 7 })).toMatchObject({ temperature: 1, seed: 0, view: '' })
  })
})
