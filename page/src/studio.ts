// What every view has at hand.

import type { Backend, Drawing, Model } from './backend'
import type { Notice } from './notice'
import type { Sheet } from './sheet'
import type { Stroke } from './strokes'
import type { ViewName } from './text'

export interface Settings {
  view: ViewName
  model: string
  temperature: number
  seed: number
  auto: boolean // the model answers when the pen lifts
  under: boolean // its expectations are shown
  keys: boolean // single keys do things
  theme: 'auto' | 'light' | 'dark'
}

export interface Studio {
  readonly backend: Backend
  readonly model: Model
  /** The first model with an encoder. */
  readonly seeing: Model | undefined
  readonly settings: Readonly<Settings>
  /** The drawing that Draw, Endings and Redraw share. */
  readonly sheet: Sheet
  /** That sheet with its tools. */
  readonly desk: HTMLElement
  change(part: Partial<Settings>): void
  /** To the eyes for some seconds, and to screen readers. */
  say(sentence: string): void
  /** To screen readers alone: what others see by themselves. */
  announce(sentence: string): void
  /** Says why in the notice, and where nothing answers, tries until something does. */
  failed(error: unknown, notice: Notice, retry?: () => void): void
  /** An example drawing that the person chose. */
  example(): Promise<Drawing | null>
  /** Some others, to begin with. */
  someExamples(): Promise<Drawing[]>
  /** A drawing out of a file that the person chose. */
  open(): Promise<Drawing | null>
  save(): void
  link(): void
  /** Puts strokes onto the main sheet and shows it. */
  takeToDraw(strokes: Stroke[]): void
}

export interface View {
  readonly element: HTMLElement
  /** The sheets that it shows, by the name that a link knows them by. */
  readonly sheets: Record<string, Sheet>
  show(): void
  hide(): void
  /** Model, temperature or seed are others now, or the server is back: what is shown is to be asked for again. */
  renew(): void
  /** What "save" saves, and where it is more than one picture, all of them. */
  picture(): { strokes: Stroke[]; frames?: Stroke[][] }
  /** Single keys of its own. */
  keys: Record<string, () => void>
}
