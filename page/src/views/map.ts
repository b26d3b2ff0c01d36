// Map: drawings laid out by where their z lie; hover shows, a click decodes, a drag walks from one to another.

import { isOwn, type LatentMap, type MapPoint } from '../backend'
import { button, element, svg } from '../dom'
import { Latest } from '../latest'
import { slerp } from '../mixture'
import { Notice } from '../notice'
import { Picture, Tile } from '../picture'
import { fitInto, pathData } from '../strokes'
import type { Studio, View } from '../studio'
import { text } from '../text'
import { offerEncoder, temperatureSlider } from '../tools'
import { centred } from '../units'

const SIDE = 1000 // of the map
const EDGE = 50
const THUMBNAIL = 52
const NEAR = 40 // so far from a drawing the pointer is still on it
const CLICK = 12 // a pointer that moves less was not dragged
const WALK = 8 // drawings on the way

interface Place {
  x: number
  y: number
  point: MapPoint
  mark: SVGGElement
}

export function mapView(studio: Studio): View {
  const latest = new Latest()
  const loading = new Latest()
  const notice = new Notice()
  const field = svg('svg', { viewBox: `0 0 ${SIDE} ${SIDE}`, class: 'map', tabindex: 0, role: 'application' })
  field.setAttribute('aria-label', text.map.label)
  field.setAttribute('aria-roledescription', text.views.map.tab)
  const marks = svg('g')
  const line = svg('path', { class: 'map-line' })
  const cursor = svg('circle', { class: 'map-cursor', r: 34, cx: -100, cy: -100 })
  field.append(marks, line, cursor)

  const given = new Picture()
  const decoded = new Picture()
  const about = element('p', { className: 'map-about' })
  const hint = element(
    'p',
    { className: 'map-hint' },
    matchMedia('(hover: none)').matches ? text.map.hintTouch : text.map.hint,
  )
  const take = button(text.map.take, () => studio.takeToDraw(decoded.strokes), 'button', 'take')
  const tiles = Array.from({ length: WALK }, (_, i) => {
    return new Tile(text.map.tile(i + 1, WALK), () => decoded.put(tiles[i]!.picture.strokes))
  })
  const strip = element(
    'div',
    { className: 'tiles strip', role: 'group', ariaLabel: text.map.path, hidden: true },
    ...tiles.map((tile) => tile.element),
  )
  const figure = (caption: string, picture: Picture) =>
    element('figure', { className: 'figure' }, picture.svg, element('figcaption', {}, caption))
  const panel = element(
    'div',
    { className: 'panel' },
    element(
      'section',
      { className: 'card', ariaLabel: text.map.decoded },
      element('div', { className: 'figures' }, figure(text.map.given, given), figure(text.map.decoded, decoded)),
      strip,
      element('div', { className: 'actions' }, take),
      hint,
    ),
    element('section', { className: 'card' }, temperatureSlider(studio), about),
  )
  const view = element(
    'section',
    { className: 'view view-map', ariaLabel: text.views.map.title },
    element('div', { className: 'place' }, element('div', { className: 'map-place' }, field, notice.element)),
    panel,
  )

  let loaded = '' // the model whose map is shown
  let places: Place[] = []
  let chosen = -1 // by keyboard or pointer
  let start: number | null = null // of a path
  let down: { x: number; y: number; near: number } | null = null
  let shown: number[][] = [] // the z that are decoded now
  take.disabled = true

  async function load(): Promise<void> {
    const { backend, model } = studio
    if (!model.conditional) {
      lay(null)
      return offerEncoder(studio, notice)
    }
    if (loaded === model.name) return
    lay(null)
    notice.wait(text.map.waiting)
    try {
      const map = await loading.run((signal) => backend.map(model.name, signal))
      if (!map) return
      notice.clear()
      if (map.points.length === 0) return notice.empty(text.map.empty)
      lay(map)
    } catch (error) {
      studio.failed(error, notice, () => void load())
    }
  }

  function lay(map: LatentMap | null): void {
    loaded = ''
    chosen = -1
    start = down = null
    shown = []
    places = map ? layOut(map.points) : []
    marks.replaceChildren(...places.map((place) => place.mark))
    line.setAttribute('d', '')
    cursor.setAttribute('cx', '-100')
    strip.hidden = true
    given.put([])
    decoded.put([])
    take.disabled = true
    about.textContent = map
      ? [
          `${text.map.about(map.points.length, map.source)}.`,
          isOwn(map, studio.model) ? '' : text.map.strange,
          text.map.axes(map.explained),
        ].join(' ')
      : ''
    if (map) loaded = studio.model.name
  }

  function look(i: number): void {
    chosen = i
    const place = places[i]
    if (!place) return
    cursor.setAttribute('cx', String(place.x))
    cursor.setAttribute('cy', String(place.y))
    given.put(centred(place.point.drawing, 'person'))
  }

  async function decode(z: number[][]): Promise<void> {
    const { backend, model, settings } = studio
    shown = z
    strip.hidden = z.length === 1
    if (z.length > 1) for (const tile of tiles) tile.wait()
    try {
      const found = await latest.run((signal) => backend.decode(model.name, z, { ...settings, signal }))
      if (!found) return
      decoded.put(centred(found.at(-1)!))
      take.disabled = decoded.strokes.length === 0
      if (found.length > 1) tiles.forEach((tile, i) => tile.put(centred(found[i]!)))
    } catch (error) {
      studio.failed(error, notice, () => {
        notice.clear()
        void decode(z)
      })
    }
  }

  function walk(from: number, to: number): void {
    const [a, b] = [places[from]!, places[to]!]
    line.setAttribute('d', `M${a.x} ${a.y}L${b.x} ${b.y}`)
    look(to)
    void decode(Array.from({ length: WALK }, (_, i) => slerp(a.point.z, b.point.z, i / (WALK - 1))))
  }

  /** Of the pointer on the map. */
  function at(event: PointerEvent): { x: number; y: number; near: number } {
    const box = field.getBoundingClientRect()
    const x = (SIDE * (event.clientX - box.left)) / box.width
    const y = (SIDE * (event.clientY - box.top)) / box.height
    return { x, y, near: nearest(x, y) }
  }

  function nearest(x: number, y: number): number {
    let best = -1
    let least = NEAR
    places.forEach((place, i) => {
      const distance = Math.hypot(place.x - x, place.y - y)
      if (distance < least) [best, least] = [i, distance]
    })
    return best
  }

  /** z between drawings: the three nearest, the nearer the more. */
  function mixed(x: number, y: number): number[] {
    const near = places
      .map((place) => ({ place, weight: 1 / Math.max(1, (place.x - x) ** 2 + (place.y - y) ** 2) }))
      .sort((p, q) => q.weight - p.weight)
      .slice(0, 3)
    const sum = near.reduce((total, { weight }) => total + weight, 0)
    return near[0]!.place.point.z.map((_, k) =>
      near.reduce((total, { place, weight }) => total + (weight / sum) * place.point.z[k]!, 0),
    )
  }

  field.addEventListener('pointerdown', (event) => {
    if (places.length === 0 || event.button !== 0) return
    down = at(event)
    field.setPointerCapture(event.pointerId)
    if (down.near >= 0) look(down.near)
  })
  field.addEventListener('pointermove', (event) => {
    const now = at(event)
    if (down && down.near >= 0) {
      const from = places[down.near]!
      line.setAttribute('d', `M${from.x} ${from.y}L${now.x} ${now.y}`)
    }
    if (now.near >= 0 && now.near !== chosen) look(now.near)
  })
  field.addEventListener('pointerup', (event) => {
    if (!down) return
    const [from, to] = [down, at(event)]
    down = start = null
    line.setAttribute('d', '')
    if (from.near >= 0 && to.near >= 0 && from.near !== to.near) return walk(from.near, to.near)
    if (Math.hypot(to.x - from.x, to.y - from.y) > CLICK && from.near !== to.near) return
    if (to.near >= 0) {
      look(to.near)
      void decode([places[to.near]!.point.z])
    } else {
      studio.say(text.map.between)
      void decode([mixed(to.x, to.y)])
    }
  })
  field.addEventListener('pointercancel', () => {
    down = null
    line.setAttribute('d', '')
  })
  field.addEventListener('keydown', (event) => {
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key]
    if (places.length === 0) return
    if (direction) {
      event.preventDefault()
      look(chosen < 0 ? nearestTo(SIDE / 2, SIDE / 2) : neighbour(direction[0]!, direction[1]!))
      studio.announce(text.map.point(chosen, places.length))
    } else if (event.key === 'Enter' && chosen >= 0) {
      event.preventDefault()
      event.stopPropagation()
      if (event.shiftKey) {
        start = chosen
        studio.say(text.map.started(chosen))
      } else if (start !== null && start !== chosen) {
        walk(start, chosen)
        start = null
      } else void decode([places[chosen]!.point.z])
    }
  })

  function nearestTo(x: number, y: number): number {
    const distances = places.map((place) => Math.hypot(place.x - x, place.y - y))
    return distances.indexOf(Math.min(...distances))
  }

  /** The nearest drawing on that side, what lies straight ahead before what lies aslant. */
  function neighbour(dx: number, dy: number): number {
    const from = places[chosen]!
    let best = chosen
    let least = Infinity
    places.forEach((place, i) => {
      const ahead = (place.x - from.x) * dx + (place.y - from.y) * dy
      const aside = Math.abs((place.x - from.x) * dy) + Math.abs((place.y - from.y) * dx)
      if (i === chosen || ahead <= 0 || aside > 2 * ahead) return
      if (ahead + 2 * aside < least) [best, least] = [i, ahead + 2 * aside]
    })
    return best
  }

  return {
    element: view,
    sheets: {},
    show: () => void load(),
    hide() {
      latest.stop()
      loading.stop()
    },
    renew() {
      if (loaded !== studio.model.name) void load()
      else if (shown.length > 0) void decode(shown)
    },
    picture: () => ({
      strokes: decoded.strokes,
      ...(shown.length > 1 ? { frames: tiles.map((tile) => tile.picture.strokes) } : {}),
    }),
    keys: {},
  }
}

/** The points within the field: a thumbnail where there is room for one, else a dot. */
function layOut(points: MapPoint[]): Place[] {
  const inside = { left: EDGE, top: EDGE, right: SIDE - EDGE, bottom: SIDE - EDGE }
  const xs = points.map((point) => point.x)
  const ys = points.map((point) => point.y)
  const scale = (values: number[], from: number, to: number) => {
    const [low, high] = [Math.min(...values), Math.max(...values)]
    return (value: number) => (high > low ? from + ((value - low) / (high - low)) * (to - from) : (from + to) / 2)
  }
  const [placeX, placeY] = [scale(xs, inside.left, inside.right), scale(ys, inside.bottom, inside.top)]
  const taken: { x: number; y: number }[] = []
  return points.map((point) => {
    const [x, y] = [placeX(point.x), placeY(point.y)]
    const free = taken.every((other) => Math.max(Math.abs(other.x - x), Math.abs(other.y - y)) > THUMBNAIL)
    if (free) taken.push({ x, y })
    return { x, y, point, mark: free ? thumbnail(point, x, y) : svg('g', {}, svg('circle', { cx: x, cy: y, r: 4 })) }
  })
}

function thumbnail(point: MapPoint, x: number, y: number): SVGGElement {
  const half = THUMBNAIL / 2 - 3
  const lines = fitInto(point.drawing.lines, { left: x - half, top: y - half, right: x + half, bottom: y + half })
  return svg('g', {}, svg('path', { class: 'ink', d: pathData(lines) }))
}
