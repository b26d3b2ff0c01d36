import { expect, test } from 'vitest'
import { readNdjson } from '../src/reading'
import { replayFrames, toNdjson, toSvg } from '../src/saving'
import { type Stroke, countPoints } from '../src/strokes'

const strokes: Stroke[] = [
  {
    by: 'person',
    points: [
      [100, 100, 0.5],
      [300, 500, 0.5],
    ],
  },
  { by: 'model', points: [[200, 200, 0.5]] },
]

test('SVG: a path for each stroke, the two hands in their colours', () => {
  const svg = toSvg(strokes)
  expect(svg).toContain('<path d="M100 100L300 500" stroke="#1b1b1f"/>')
  expect(svg).toContain('<path d="M200 200L200 200" stroke="#c2410c"/>')
  expect(svg).toContain('viewBox="-40 60 480 480"')
})

test('ndjson comes back as it went, within 255', () => {
  const lines = strokes.map((stroke) => stroke.points.map(([x, y]): [number, number] => [x, y]))
  const text = toNdjson(lines, 'cat')
  const [drawing] = readNdjson(text)
  expect(drawing!.label).toBe('cat')
  expect(drawing!.lines[0]).toEqual([
    [63.75, 0],
    [191.25, 255],
  ])
})

test('a replay ends with the whole drawing and never goes back', () => {
  const frames = replayFrames(strokes)
  const lengths = frames.map((frame) => countPoints(frame.map((stroke) => stroke.points)))
  expect(lengths).toEqual([1, 2, 3])
})
