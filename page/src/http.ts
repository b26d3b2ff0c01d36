export function connect(): never {
  throw new Error('not yet')
}
