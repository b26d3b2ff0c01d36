// Elements of the page, made in one line each. No markup is ever parsed.

type Children = (Node | string | null | false)[]
type Properties<Tag extends keyof HTMLElementTagNameMap> = Partial<Omit<HTMLElementTagNameMap[Tag], 'style'>>

export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Properties<Tag> = {},
  ...children: Children
): HTMLElementTagNameMap[Tag] {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children.filter((child) => child !== null && child !== false))
  return made
}

const SVG = 'http://www.w3.org/2000/svg'

export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string | number> = {},
  ...children: Node[]
): SVGElementTagNameMap[Tag] {
  const made = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value))
  made.append(...children)
  return made
}

// 24 by 24, drawn with a round pen
const ICONS = {
  draw: 'M4 20c4-1 5-2 6-4L19 6a2 2 0 0 0-3-3L7 13c-2 1-2 4-3 7Z',
  endings: 'M4 12c5 0 5-7 10-7h6M4 12h16M4 12c5 0 5 7 10 7h6',
  redraw: 'M2 12c4-6 16-6 20 0-4 6-16 6-20 0ZM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6Z',
  morph: 'M3 8h6v6H3zM20.5 11a3.5 3.5 0 1 1-7 0 3.5 3.5 0 0 1 7 0M4 19h15m-2-2 2 2-2 2',
  sum: 'M7 4v8M3 8h8M14 17h7M5 20 19 4',
  map: 'M4 7a1.500 1.500 0 1 1 0 .01M15 5a1.500 1.500 0 1 1 0 .01M9 12a1.500 1.500 0 1 1 0 .01M17 15a1.500 1.500 0 1 1 0 .01M5 18a1.500 1.500 0 1 1 0 .01',
  undo: 'M8 5 4 9l4 4M4 9h9a6 6 0 0 1 0 12H9',
  redo: 'm16 5 4 4-4 4M20 9h-9a6 6 0 0 0 0 12h4',
  clear: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M11 11v5M13.5 11v5',
  replay: 'M8 5v14l11-7Z',
  stop: 'M7 7h10v10H7z',
  examples: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z',
  open: 'M12 16V5m-4 4 4-4 4 4M4 15v5h16v-5',
  save: 'M12 4v11m-4-4 4 4 4-4M4 15v5h16v-5',
  link: 'M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1',
  mine: 'M4 12h13m-5-5 5 5-5 5M21 5v14',
  auto: 'M12 3a9 9 0 1 0 0 18V3ZM12 3a9 9 0 0 1 0 18',
  light:
    'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5 19 19M5 19l1.5-1.5M17.5 6.5 19 5',
  dark: 'M20 14a8 8 0 1 1-10-10 7 7 0 0 0 10 10Z',
  keys: 'M9.5 9a2.5 2.5 0 1 1 3.5 2.300c-.7.4-1 .9-1 1.700v.5M12 17h.01M12 2.5a9.5 9.5 0 1 0 0 19 9.5 9.5 0 0 0 0-19Z',
  close: 'M6 6l12 12M18 6 6 18',
  another: 'M20 7v5h-5M4 17v-5h5M19 12a7 7 0 0 0-12-5L4 10M5 12a7 7 0 0 0 12 5l3-3',
  take: 'm5 13 5 5L20 6',
}

export type IconName = keyof typeof ICONS

export function icon(name: IconName): SVGSVGElement {
  const path = svg('path', { d: ICONS[name] })
  return svg('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' }, path)
}

/** A button with an icon; its label is seen where there is room, and always heard. */
export function iconButton(name: IconName, label: string, onclick: () => void): HTMLButtonElement {
  const button = element('button', { className: 'tool', type: 'button', title: label, onclick }, icon(name))
  button.append(element('span', { className: 'tool-label' }, label))
  return button
}

export function button(label: string, onclick: () => void, look = 'button', name?: IconName): HTMLButtonElement {
  return element('button', { className: look, type: 'button', onclick }, name ? icon(name) : null, label)
}
