// Random numbers that the same seed gives again, in every browser.

/** `size` numbers from N(0, 1). */
export function normal(seed: number, size: number): number[] {
  const next = mulberry32(seed)
  for (let i = 0; i < 8; i++) next() // neighbouring seeds begin alike
  return Array.from({ length: size }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - next()))
    return radius * Math.cos(2 * Math.PI * next())
  })
}

/** Tommy Ettinger's generator of 32 bits: uniform numbers from 0 to below 1. */
function mulberry32(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
