// Light or dark: as the system, until the person chooses. The styles know the rest.

export type Theme = 'auto' | 'light' | 'dark'

export const THEMES: Theme[] = ['auto', 'light', 'dark']

export function applyTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme
  tell()
}

/** Canvases do not see a change of styles: they are told. */
function tell(): void {
  document.dispatchEvent(new Event('themechange'))
}

/** The person asked the system for a screen where little moves. */
export function prefersStill(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches
}

export function watchSystem(): void {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', tell)
}
