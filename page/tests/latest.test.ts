import { expect, test } from 'vitest'
import { Latest } from '../src/latest'

test('only the latest gives a result; those before are aborted', async () => {
  const latest = new Latest()
  let aborted = false
  const first = latest.run(async (signal) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    aborted = true
    return 1
  })
  const second = latest.run(async () => 2)
  expect(await Promise.all([first, second])).toEqual([undefined, 2])
  expect(aborted).toBe(true)
})

test('what fails on its own is thrown, what fails because it was stopped is not', async () => {
  const latest = new Latest()
  await expect(latest.run(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
  const stopped = latest.run(async (signal) => {
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
  })
  latest.stop()
  expect(await stopped).toBeUndefined()
})
