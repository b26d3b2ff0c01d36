// What the browser keeps between visits: settings, and the drawings that lay on the desk.

import { type Desk, pack, unpack } from './link'
import type { Settings } from './studio'

const SETTINGS = 'sketchrnn.settings'
const DESK = 'sketchrnn.desk'

type Kept = Pick<Settings, 'auto' | 'under' | 'keys' | 'theme'>

export function keepSettings({ auto, under, keys, theme }: Settings): void {
  write(SETTINGS, { auto, under, keys, theme })
}

export function keptSettings(): Partial<Kept> {
  const value = read(SETTINGS)
  if (typeof value !== 'object' || value === null) return {}
  const { auto, under, keys, theme } = value as Record<string, unknown>
  return {
    ...(typeof auto === 'boolean' ? { auto } : {}),
    ...(typeof under === 'boolean' ? { under } : {}),
    ...(typeof keys === 'boolean' ? { keys } : {}),
    ...(theme === 'light' || theme === 'dark' ? { theme } : {}),
  }
}

export function keepDesk(desk: Desk): void {
  write(DESK, pack(desk))
}

export function keptDesk(): Desk | null {
  return unpack(read(DESK))
}

// a browser may refuse to store anything: then nothing is kept, and nothing else is lost

function write(name: string, value: unknown): void {
  try {
    localStorage.setItem(name, JSON.stringify(value))
  } catch {
    // nothing is kept
  }
}

function read(name: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(name) ?? 'null')
  } catch {
    return null
  }
}
