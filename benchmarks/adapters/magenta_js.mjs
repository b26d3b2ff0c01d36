// @magenta/sketch under Node, on a published model: node magenta_js.mjs NODE_MODULES MODEL.gen.json STEPS
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

const [folder, file, steps] = process.argv.slice(2);
const require = createRequire(resolve(folder, "package.json"));
for (const name of ["log", "warn", "info"]) console[name] = () => {}; // what the peer prints is not an answer
const { SketchRNN } = require("@magenta/sketch");
const [info, dimensions, weights] = JSON.parse(readFileSync(file, "utf8"));
const model = new SketchRNN("");
model.instantiateFromJSON(info, dimensions, weights);

function sample() {
  let state = model.zeroState();
  let stroke = model.zeroInput();
  for (let step = 0; step < Number(steps); step++) {
    state = model.update(stroke, state);
    stroke = model.sample(model.getPDF(state, 0.4));
  }
}

process.stdout.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() !== "sample") throw new Error(line);
  const began = performance.now();
  sample();
  process.stdout.write(`${(performance.now() - began) / 1000}\n`);
}
