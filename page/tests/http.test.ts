import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import type { Row } from '../src/backend'
import { connect, textLines } from '../src/http'

let server: Server | undefined

/** A real server that answers as it is told. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  server = createServer((request, response) => {
    request.resume()
    answer(request, response)
  })
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

const options = { temperature: 0.4, seed: 0 }

test('an answer that comes in pieces becomes drawings that begin with the prefix', async () => {
  const lines = [
    { drawing: 1, points: [[5, 0, 0]] },
    { drawing: 0, points: [[1, 1, 1]], end: true },
    { drawing: 1, points: [[0, 5, 1]] },
    { drawing: 1, end: true },
    { done: true },
  ].map((line) => `${JSON.stringify(line)}\n`)
  const whole = lines.join('')
  const base = await serve((_, response) => {
    response.write(whole.slice(0, 30)) // cut in the middle of a line
    setTimeout(() => response.end(whole.slice(30)), 20)
  })
  const seen: [number, Row[], boolean][] = []
  const prefix = {
    lines: [
      [
        [0, 0],
        [10, 10],
      ] as [number, number][],
    ],
  }
  const drawings = await connect(base).complete('m', prefix, 2, options, (...part) => seen.push(part))
  expect(drawings.map((drawing) => drawing.lines)).toEqual([
    [...prefix.lines, [[11, 11]]],
    [
      ...prefix.lines,
      [
        [15, 10],
        [15, 15],
      ],
    ],
  ])
  expect(seen).toContainEqual([1, [], true])
})

test('a sentence of the server is what the person reads', async () => {
  const base = await serve((_, response) => response.writeHead(422).end('{"detail": "the drawing has no points"}'))
  await expect(connect(base).decode('m', [[0]], options)).rejects.toThrow('The drawing has no points.')
})

test('a sentence that begins with a name keeps it as it is', async () => {
  const base = await serve((_, response) => response.writeHead(422).end('{"detail": "cats.svg holds no drawing"}'))
  await expect(connect(base).encode('m', [])).rejects.toThrow('cats.svg holds no drawing.')
})

test('a failure in the middle of a stream is one too', async () => {
  const base = await serve((_, response) => response.end('{"drawing":0,"points":[]}\n{"error":"it broke"}\n'))
  await expect(connect(base).complete('m', { lines: [] }, 1, options, () => {})).rejects.toThrow('it broke')
})

test('a stream that ends too early did not end well', async () => {
  const base = await serve((_, response) => response.end('{"drawing":0,"points":[[1,1,0]]}\n'))
  await expect(connect(base).complete('m', { lines: [] }, 1, options, () => {})).rejects.toMatchObject({
    trouble: 'offline',
  })
})

test('overload is waited out, and said', async () => {
  let [asked, said] = [0, 0]
  const base = await serve((_, response) => {
    asked++
    if (asked === 1) response.writeHead(503, { 'Retry-After': '0.01' }).end('{"detail": "busy"}')
    else if (asked === 2) response.writeHead(429, { 'Retry-After': '0.01' }).end()
    else response.end('{"mu": [[1, 2]]}')
  })
  const backend = connect(base, () => said++)
  expect(await backend.encode('m', [])).toEqual([[1, 2]])
  expect([asked, said]).toEqual([3, 2])
})

test('a server that stays busy is no refusal: it helps to wait', async () => {
  const base = await serve((_, response) =>
    response.writeHead(503, { 'Retry-After': '0.01' }).end('{"detail": "the server is ending"}'),
  )
  await expect(connect(base).models()).rejects.toMatchObject({ trouble: 'busy', message: 'The server is ending.' })
})

test.each([
  [503, {}],
  [422, { 'Retry-After': '0.01' }],
])('what would be refused again is not asked again: %i', async (status, headers) => {
  let asked = 0
  const base = await serve((_, response) => {
    asked++
    response.writeHead(status, headers).end('{"detail": "this took too long"}')
  })
  await expect(connect(base).models()).rejects.toMatchObject({ trouble: 'refused' })
  expect(asked).toBe(1)
})

test('nobody there is offline, a missing token asks for one', async () => {
  await expect(connect('http://127.0.0.1:9/').models()).rejects.toMatchObject({ trouble: 'offline' })
  const base = await serve((_, response) => response.writeHead(401).end('{"detail": "token"}'))
  await expect(connect(base).models()).rejects.toMatchObject({ trouble: 'token' })
})

test('an aborted request ends, and is no failure of the server', async () => {
  const base = await serve(() => {}) // never answers
  const controller = new AbortController()
  const asked = connect(base).decode('m', [[0]], { ...options, signal: controller.signal })
  setTimeout(() => controller.abort(), 20)
  await expect(asked).rejects.toMatchObject({ name: 'AbortError' })
})

test('textLines puts characters together that were cut in two', async () => {
  const encoded = new TextEncoder().encode('größer\nlast')
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of encoded) controller.enqueue(Uint8Array.of(byte))
      controller.close()
    },
  })
  const lines: string[] = []
  for await (const line of textLines(body)) lines.push(line)
  expect(lines).toEqual(['größer', 'last'])
})
