import { expect, test } from 'vitest'
import { History } from '../src/history'

test('undo and redo walk to and fro, and a new step forgets what was undone', () => {
  const history = new History('a')
  expect([history.canUndo, history.canRedo]).toEqual([false, false])
  history.do('b')
  history.do('c')
  expect(history.undo()).toBe(true)
  expect(history.undo()).toBe(true)
  expect(history.now).toBe('a')
  expect(history.undo()).toBe(false)
  history.redo()
  expect(history.now).toBe('b')
  history.do('d')
  expect(history.redo()).toBe(false)
  expect(history.now).toBe('d')
})
