// What a conditional model means to draw when it goes on with a drawing.
//
// Its z could be that of what is there. But the model takes what is there for the whole: two ears and a circle become the z
// of a cat without a face, and it stops. So each ending gets a z of its own from N(0, I): some whole drawing that the
// model has in mind. The same seed means the same one, however the drawing grows.

import type { Model } from './backend'
import { normal } from './random'

/** z for n endings, or undefined where the model has none. */
export function intentions(model: Model, seed: number, n = 1): number[][] | undefined {
  const size = model.z_size
  return model.conditional && size ? Array.from({ length: n }, (_, i) => normal(seed + i, size)) : undefined
}
