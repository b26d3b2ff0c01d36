// Strokes on a canvas. The context is scaled so that one unit is one unit of the sheet.

import type { Mixture, Point } from './backend'
import { ellipses } from './mixture'
import { type InkPoint, PRESSURE, type Stroke } from './strokes'

export const LINE_WIDTH = 6.5 // of the sheet's 1000

export interface Colours {
  ink: string
  model: string
  cloud: string
}

export function paint(ctx: CanvasRenderingContext2D, strokes: Stroke[], colours: Colours, width = LINE_WIDTH): void {
  ctx.lineCap = ctx.lineJoin = 'round'
  for (const stroke of strokes) {
    ctx.strokeStyle = stroke.by === 'model' ? colours.model : colours.ink
    paintLine(ctx, stroke.points, width)
  }
}

function paintLine(ctx: CanvasRenderingContext2D, points: InkPoint[], width: number): void {
  if (points.length === 0) return
  const even = points.every(([, , pressure]) => pressure === points[0]![2])
  if (even) {
    ctx.lineWidth = width * thickness(points[0]![2])
    ctx.beginPath()
    curve(ctx, points, 0, points.length - 1)
    ctx.stroke()
    return
  }
  for (let i = 1; i < points.length; i++) {
    ctx.lineWidth = width * thickness((points[i - 1]![2] + points[i]![2]) / 2)
    ctx.beginPath()
    curve(ctx, points, i - 1, i)
    ctx.stroke()
  }
  if (points.length === 1) curve(ctx, points, 0, 0)
}

function thickness(pressure: number): number {
  return pressure === PRESSURE ? 1 : 0.3 + 1.4 * pressure
}

/** Through the middles of the segments, bent at the points between; corners stay corners. */
function curve(ctx: CanvasRenderingContext2D, points: InkPoint[], first: number, last: number): void {
  const [x, y] = first === 0 ? points[0]! : middle(points[first - 1]!, points[first]!)
  ctx.moveTo(x, y)
  if (first === last) ctx.lineTo(x, y) // a dot
  for (let i = Math.max(1, first); i <= last; i++) {
    const end = i === points.length - 1
    const [ex, ey] = end ? points[i]! : middle(points[i]!, points[i + 1]!)
    if (end || corner(points[i - 1]!, points[i]!, points[i + 1]!)) {
      ctx.lineTo(points[i]![0], points[i]![1])
      ctx.lineTo(ex, ey)
    } else ctx.quadraticCurveTo(points[i]![0], points[i]![1], ex, ey)
  }
}

function middle(a: InkPoint, b: InkPoint): Point {
  return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]
}

/** The line turns by more than about 50 degrees. */
function corner(a: InkPoint, b: InkPoint, c: InkPoint): boolean {
  const [ax, ay, bx, by] = [b[0] - a[0], b[1] - a[1], c[0] - b[0], c[1] - b[1]]
  return ax * bx + ay * by < 0.64 * Math.hypot(ax, ay) * Math.hypot(bx, by)
}

/** The clouds of a mixture around the pen: `scale` sheet units for one of the model's. */
export function paintMixture(
  ctx: CanvasRenderingContext2D,
  mixture: Mixture,
  [x, y]: Point,
  scale: number,
  colour: string,
): void {
  for (const ellipse of ellipses(mixture)) {
    const strength = Math.sqrt(ellipse.share)
    const [major, minor] = [Math.max(scale * ellipse.major, 4), Math.max(scale * ellipse.minor, 4)]
    ctx.save()
    ctx.translate(x + scale * ellipse.x, y + scale * ellipse.y)
    ctx.rotate(ellipse.angle)
    ctx.save()
    ctx.scale(major, minor)
    const cloud = ctx.createRadialGradient(0, 0, 0, 0, 0, 3)
    for (const r of [0, 0.5, 1, 1.5, 2, 2.5]) {
      cloud.addColorStop(r / 3, transparent(colour, 0.62 * strength * Math.exp((-r * r) / 2)))
    }
    cloud.addColorStop(1, transparent(colour, 0))
    ctx.fillStyle = cloud
    ctx.beginPath()
    ctx.arc(0, 0, 3, 0, 2 * Math.PI)
    ctx.fill()
    ctx.restore()
    ctx.strokeStyle = transparent(colour, 0.25 + 0.6 * strength)
    ctx.lineWidth = 1.5 + 1.5 * strength
    ctx.beginPath()
    ctx.ellipse(0, 0, major, minor, 0, 0, 2 * Math.PI)
    ctx.stroke()
    ctx.restore()
  }
  ctx.fillStyle = colour
  ctx.beginPath()
  ctx.arc(x, y, 7, 0, 2 * Math.PI)
  ctx.fill()
}

/** `colour` is "rgb(r, g, b)", as a computed style gives it. */
function transparent(colour: string, alpha: number): string {
  return colour.replace('rgb(', 'rgba(').replace(')', `, ${alpha.toFixed(3)})`)
}

/** The theme's colours. */
export function themeColours(): Colours {
  const style = getComputedStyle(document.documentElement)
  const of = (name: string) => style.getPropertyValue(name).trim()
  return { ink: of('--ink'), model: of('--model'), cloud: of('--cloud') }
}
