// A drawing from an exported model, with onnxruntime-web alone: node onnx_sample.mjs FOLDER OUT.svg
import { readFileSync, writeFileSync } from 'node:fs'
import * as ort from 'onnxruntime-web' // npm install onnxruntime-web

const [folder, out] = process.argv.slice(2)
const { sqrt, log, exp, cos, PI, random } = Math
const temperature = 0.4
const facts = JSON.parse(readFileSync(`${folder}/model.json`, 'utf8'))
const open = (name) => ort.InferenceSession.create(readFileSync(`${folder}/${name}`))
const row = (values) => new ort.Tensor('float32', Float32Array.from(values), [1, values.length])
const normal = () => sqrt(-2 * log(1 - random())) * cos(2 * PI * random())
const largest = (values) => values.indexOf(Math.max(...values))
const choose = (logits) => largest(Array.from(logits, (logit) => logit / temperature - log(-log(random()))))

const decoder = await open('decoder.onnx')
const z = facts.model.conditional ? { z: row(Array.from({ length: facts.model.z_size }, normal)) } : {}
let state = Object.fromEntries(facts.states.map((size, k) => [`state_${k}`, row(new Array(size).fill(0))]))
if (facts.model.conditional) state = await (await open('start.onnx')).run(z)
const penDown = facts.data.from_first_point || facts.data.first_offset === 'line'
let [token, x, y, lifted] = [facts.start_token, 0, 0, !penDown]
let path = lifted ? '' : 'M0 0' // else the first offset is a line already
for (let points = 0; points < facts.max_length; points++) {
  const step = await decoder.run({ token: row(token), ...z, ...state })
  state = Object.fromEntries(facts.states.map((_, k) => [`state_${k}`, step[`next_state_${k}`]]))
  const [k, pen] = [choose(step.logits_pi.data), choose(step.logits_q.data)]
  if (pen === 2) break // 0: a line follows, 1: the pen lifts, 2: the drawing has ended
  const [u, v, rho] = [normal(), normal(), step.rho.data[k]]
  const dx = step.mu_x.data[k] + sqrt(temperature) * exp(step.log_sigma_x.data[k]) * u
  const dy = step.mu_y.data[k] + sqrt(temperature) * exp(step.log_sigma_y.data[k]) * (rho * u + sqrt(1 - rho ** 2) * v)
  path += `${lifted ? 'M' : 'L'}${(x += dx * facts.scale_factor)} ${(y += dy * facts.scale_factor)}`
  lifted = pen === 1
  token = [dx, dy, Number(!lifted), Number(lifted), 0]
}
const side = facts.data.size || 255
const attributes = `viewBox="${-side / 4} ${-side / 4} ${side * 1.5} ${side * 1.5}" stroke-width="${side / 80}"`
const body = `<path d="${path}" fill="none" stroke="#1b1b1f"/>`
writeFileSync(out, `<svg xmlns="http://www.w3.org/2000/svg" ${attributes}>${body}</svg>\n`)
