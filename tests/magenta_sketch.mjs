// What @magenta/sketch expects at each point of drawings: node magenta_sketch.mjs FOLDER MODEL.gen.json DRAWINGS.json OUT
// FOLDER holds node_modules. DRAWINGS is a list of drawings, lists of stroke-5 rows in their own units. OUT gets float32:
// for each drawing, for each point and for what follows the last, pi, muX, muY, sigmaX, sigmaY, corr (20 each) and pen (3),
// in the model's normalised units.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";

const [folder, file, drawings, out] = process.argv.slice(2);
const require = createRequire(resolve(folder, "package.json"));
for (const name of ["log", "warn", "info"]) console[name] = () => {}; // what the peer prints is not an answer
const { SketchRNN } = require("@magenta/sketch");
const [info, dimensions, weights] = JSON.parse(readFileSync(file, "utf8"));
const model = new SketchRNN("");
model.instantiateFromJSON(info, dimensions, weights);
model.setPixelFactor(1); // a drawing's unit is one pixel; its own default takes two

const rows = [];
for (const drawing of JSON.parse(readFileSync(drawings, "utf8"))) {
  let state = model.zeroState();
  for (const point of [model.zeroInput(), ...drawing]) {
    state = model.update(point, state);
    const { pi, muX, muY, sigmaX, sigmaY, corr, pen } = model.getPDF(state, 1);
    rows.push(pi, muX, muY, sigmaX, sigmaY.slice(0, pi.length), corr, pen);
  }
}
const all = new Float32Array(rows.reduce((length, row) => length + row.length, 0));
let at = 0;
for (const row of rows) {
  all.set(row, at);
  at += row.length;
}
writeFileSync(out, all);
