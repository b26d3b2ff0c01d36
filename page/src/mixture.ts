// The mixture of bivariate normals that a model expects of a point.

import type { Mixture } from './backend'

/** As it is sampled at temperature tau: logits divided by tau, variances multiplied. */
export function atTemperature(mixture: Mixture, tau: number): Mixture {
  const t = Math.max(tau, 0.01) // at 0 the likeliest alone
  const q = sharpened(mixture.q, t)
  return {
    ...mixture,
    pi: sharpened(mixture.pi, t),
    sigmaX: mixture.sigmaX.map((sigma) => sigma * Math.sqrt(t)),
    sigmaY: mixture.sigmaY.map((sigma) => sigma * Math.sqrt(t)),
    q: [q[0]!, q[1]!, q[2]!],
  }
}

function sharpened(shares: number[], t: number): number[] {
  const largest = Math.max(...shares)
  const powers = shares.map((share) => (share > 0 && largest > 0 ? (share / largest) ** (1 / t) : 0))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => (sum > 0 ? power / sum : 0))
}

export interface Ellipse {
  x: number // of the middle, an offset
  y: number
  major: number // one standard deviation along each axis
  minor: number
  angle: number // of the major axis, in radians
  share: number // pi
}

/** The one-sigma ellipses of the components that matter, the likeliest last. */
export function ellipses(mixture: Mixture, least = 0.005): Ellipse[] {
  return mixture.pi
    .map((share, k): Ellipse => {
      const xx = mixture.sigmaX[k]! ** 2
      const yy = mixture.sigmaY[k]! ** 2
      const xy = mixture.rho[k]! * mixture.sigmaX[k]! * mixture.sigmaY[k]!
      const middle = (xx + yy) / 2
      const spread = Math.hypot((xx - yy) / 2, xy)
      return {
        x: mixture.muX[k]!,
        y: mixture.muY[k]!,
        major: Math.sqrt(middle + spread),
        minor: Math.sqrt(Math.max(middle - spread, 0)),
        angle: Math.atan2(2 * xy, xx - yy) / 2,
        share,
      }
    })
    .filter((ellipse) => ellipse.share >= least)
    .sort((a, b) => a.share - b.share)
}

/** The point at share t of the arc from a to b; straight where they lie in a line (as the package's `slerp`). */
export function slerp(a: number[], b: number[], t: number): number[] {
  const dot = a.reduce((sum, value, i) => sum + value * b[i]!, 0)
  const cosine = dot / Math.max(Math.hypot(...a) * Math.hypot(...b), 1e-12)
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)))
  const sine = Math.sin(angle)
  const [wa, wb] = sine < 1e-4 ? [1 - t, t] : [Math.sin((1 - t) * angle) / sine, Math.sin(t * angle) / sine]
  return a.map((value, i) => wa * value + wb * b[i]!)
}
