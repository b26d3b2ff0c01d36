// Random numbers of the browser's sampler: xoshiro128++ (Blackman and Vigna, 2019), a stream of its own for each drawing.

export const POINTS = 0 // what a stream is for: the points of a drawing,
export const LATENT = 1 // and its z

export class Random {
  private a: number
  private b: number
  private c: number
  private d: number
  private spare: number | null = null

  constructor(seed: number, stream: number, use: number) {
    // each number is mixed into all that came before: neighbouring seeds and streams have nothing in common
    let state = 0
    for (const part of [seed, Math.floor(seed / 2 ** 32), stream, use]) state = mix(state ^ part)
    const next = () => mix((state = (state + 0x9e3779b9) | 0))
    this.a = next()
    this.b = next()
    this.c = next()
    this.d = next() | 1 // never all zero
  }

  /** In [0, 1), 24 bits. */
  uniform(): number {
    const sum = (this.a + this.d) | 0
    const result = (((sum << 7) | (sum >>> 25)) + this.a) | 0
    const shifted = this.b << 9
    this.c ^= this.a
    this.d ^= this.b
    this.b ^= this.c
    this.a ^= this.d
    this.c ^= shifted
    this.d = (this.d << 11) | (this.d >>> 21)
    return (result >>> 8) / 2 ** 24
  }

  /** Standard normal, by Box and Muller. */
  normal(): number {
    if (this.spare !== null) {
      const value = this.spare
      this.spare = null
      return value
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    const angle = 2 * Math.PI * this.uniform()
    this.spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }
}

/** The finaliser of MurmurHash3: every bit in moves every bit out. */
function mix(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return value ^ (value >>> 16)
}

/** `size` numbers from N(0, 1). */
export function normal(seed: number, size: number): number[] {
  const random = new Random(seed, 0, LATENT)
  return Array.from({ length: size }, () => random.normal())
}
