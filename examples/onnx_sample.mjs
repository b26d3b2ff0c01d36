// A drawing from an exported model, with onnxruntime-web alone: node onnx_sample.mjs FOLDER OUT.svg
import { readFileSync, writeFileSync } from 'node:fs'
import * as ort from 'onnxruntime-web' // npm install onnxruntime-web

const [folder, out] = process.argv.slice(2)
const tau = 0.4 // temperature
const facts = JSON.parse(readFileSync(`${folder}/model.json`, 'utf8'))
const open = (name) => ort.InferenceSession.create(readFileSync(`${folder}/${name}`))
const row = (values) => new ort.Tensor('float32', Float32Array.from(values), [1, values.length])
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())

function choose(logits) {
  // by Gumbel's trick: the largest of logits / tau plus noise
  const noisy = Array.from(logits, (logit) => logit / tau - Math.log(-Math.log(Math.random())))
  return noisy.indexOf(Math.max(...noisy))
}

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
  const of = (name) => step[name].data[k]
  const [u, v] = [Math.sqrt(tau) * normal(), Math.sqrt(tau) * normal()]
  const dx = of('mu_x') + Math.exp(of('log_sigma_x')) * u
  const dy = of('mu_y') + Math.exp(of('log_sigma_y')) * (of('rho') * u + Math.sqrt(1 - of('rho') ** 2) * v)
  x += dx * facts.scale_factor
  y += dy * facts.scale_factor
  path += `${lifted ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`
  lifted = pen === 1
  token = [dx, dy, Number(!lifted), Number(lifted), 0]
}
const side = facts.data.size || 255
const box = [-0.15, -0.15, 1.3, 1.3].map((share) => share * side).join(' ')
const style = `fill="none" stroke="#1b1b1f" stroke-width="${side / 80}"`
writeFileSync(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${box}"><path d="${path}" ${style}/></svg>\n`)
