"""A report: one HTML file with the curves of a training run, its drawings, its settings and its figures.

The file stands alone: pictures are inline SVG, nothing is loaded from anywhere and no script runs. It follows the
reader's light or dark setting, and fits a phone as well as a wide screen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sketchrnn.drawing import Drawing
from sketchrnn.formats.atomic import atomic_file
from sketchrnn.render import grid_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]  # steps and values, equally long

# What `metrics.jsonl` may hold, in the order in which it is read: key, title, what a reader asks about it.
CURVES = (
    ("loss", "Loss", "What training lowers. It may rise while the weight of the KL term does."),
    ("L_R", "Reconstruction loss, L_R", "Less is better. Below zero is no fault: it is a density, not a probability."),
    ("L_KL", "KL divergence, L_KL", "How much z tells of a drawing; zero says that the decoder does without it."),
    ("nats_per_point", "Nats per point", "Unlike the loss, it can be compared between data sets of other lengths."),
    ("learning_rate", "Learning rate", "The size of the optimiser's steps."),
    ("kl_weight", "KL weight", "How much the KL term counts in the loss."),
)
SCHEDULES = ("learning_rate", "kl_weight")  # set, not measured: without noise

MOST_POINTS = 400  # of a curve in the picture: more cannot be told apart, and would make the file large

# Matplotlib knows only colours with a number; each of these stands for a variable of the style sheet.
COLORS = {"#010101": "var(--ink)", "#020202": "var(--muted)", "#030303": "var(--line)", "#040404": "var(--accent)"}
INK, MUTED, LINE, ACCENT = COLORS

LIGHT = "--paper:#ffffff;--page:#f7f6f3;--ink:#1b1b1f;--muted:#6b6a70;--line:#e3e1db;--accent:#2f5fd0"
DARK = "--paper:#1f2024;--page:#17181b;--ink:#ececf0;--muted:#a2a1a9;--line:#35363c;--accent:#8fb2ff"


@dataclass(frozen=True)
class Section:
    """A heading, a few words, and drawings."""

    title: str
    """The heading, in sentence case."""
    text: str
    """What the reader sees below; an empty line starts a new paragraph."""
    drawings: Sequence[Drawing] = ()
    """The pictures, row by row."""
    labels: Sequence[str] | None = None
    """A caption under each drawing."""
    columns: int | None = None
    """Drawings in a row, where rows mean something; unset, as many as fit."""

    def __post_init__(self) -> None:
        if self.labels is not None and len(self.labels) != len(self.drawings):
            raise ValueError(
                f"section {self.title!r} has {len(self.labels)} labels for {len(self.drawings)} drawings; give one each"
            )
        if self.columns is not None and self.columns < 1:
            raise ValueError(f"section {self.title!r} has {self.columns} columns; it needs at least 1")


def write_report(
    out: str | Path,
    *,
    title: str,
    metrics: Sequence[Mapping[str, Any]] = (),
    settings: Mapping[str, Mapping[str, object]] | None = None,
    figures: Mapping[str, float | str | None] | None = None,
    sections: Sequence[Section] = (),
) -> Path:
    """Writes the report to the file `out` and returns its path. Parts that are empty are left out.

    Args:
        out: the HTML file, replaced in one go if it exists.
        title: the heading of the page.
        metrics: rows of `metrics.jsonl`: `kind` ("train" or "valid"), `step`, and any of the names in `CURVES`.
        settings: tables by their headings, such as `{"Model": {"z_size": 128}}`.
        figures: the few numbers that matter most, by name; floats are shown with four digits.
        sections: drawings with a heading.

    Raises:
        OSError: the file cannot be written.
    """
    parts = [_figures(figures or {}), _curves(metrics), *map(_section, sections), _settings(settings or {})]
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        # Whatever a label holds, the browser loads nothing and runs nothing.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n'
        f"<main>\n<header><p>sketchrnn</p><h1>{escape(title)}</h1></header>\n"
        + "".join(part for part in parts if part)
        + "</main>\n</body>\n</html>\n"
    )
    with atomic_file(out) as path:
        path.write_text(page, encoding="utf-8")
    return Path(out)


def curves_svg(metrics: Sequence[Mapping[str, Any]]) -> str:
    """The training and validation curves of a run as one SVG picture, light or dark as its reader prefers.

    Args:
        metrics: rows of `metrics.jsonl`, as for `write_report`.

    Raises:
        ValueError: no row holds a number to draw.
    """
    from matplotlib.figure import Figure

    found = _found(metrics)
    if not found:
        raise ValueError("there is no curve to draw: no row of the metrics has a step and a value")
    rows = math.ceil(len(found) / 2)
    columns = min(2, len(found))
    figure = Figure(figsize=(4.3 * columns, 2.9 * rows), layout="constrained")
    for place, (key, title, _, curves) in enumerate(found):
        _draw(figure.add_subplot(rows, columns, place + 1), curves, title, noisy=key not in SCHEDULES)
    return _svg(figure, "Curves of the training run")


def compared_svg(runs: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]], *, dashed: str) -> str:
    """The validation losses of several runs side by side, as one SVG picture like that of `curves_svg`.

    Args:
        runs: of each dataset, a line of two panels, the rows of `metrics.jsonl` by the label of the run; the first
            runs are the darkest.
        dashed: the label of the run that is of another kind than the others.

    Raises:
        ValueError: no run has been validated.
    """
    from matplotlib.figure import Figure

    panels = []
    for name, metrics in runs.items():
        solid = [run for run in metrics if run != dashed]
        looks = {run: {"color": ACCENT, "alpha": 1 - 0.75 * i / len(solid)} for i, run in enumerate(solid)}
        looks[dashed] = {"color": MUTED, "linestyle": (0, (4, 2))}
        for key, title, _ in CURVES[1:3]:
            curves = {run: _curve(rows, "valid", key) for run, rows in metrics.items()}
            curves = {run: curve for run, curve in curves.items() if curve[1].any()}  # a decoder alone has no L_KL
            panels.append((f"{name}: {title}", curves, looks))
    if not any(curves for _, curves, _ in panels):
        raise ValueError("there is no curve to draw: no run has been validated")
    figure = Figure(figsize=(8.6, 2.9 * len(runs) + 0.3), layout="constrained")
    for place, (title, curves, looks) in enumerate(panels):
        axes = figure.add_subplot(len(runs), 2, place + 1)
        if curves:
            _draw(axes, curves, title, noisy=False, looks=looks)
        else:
            axes.set_axis_off()
    lines = {str(line.get_label()): line for axes in figure.axes for line in axes.get_lines()}
    figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    for text in figure.legends[0].get_texts():
        text.set_color(MUTED)
    return _svg(figure, "Validation losses of several runs")


# -- curves


def _found(metrics: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str, dict[str, Curve]]]:
    """(key, title, note, curves by kind) for each of `CURVES` that has a finite value."""
    found = []
    for key, title, note in CURVES:
        curves = {kind: _curve(metrics, kind, key) for kind in ("train", "valid")}
        curves = {kind: curve for kind, curve in curves.items() if len(curve[0])}
        if curves:
            found.append((key, title, note, curves))
    return found


def _curve(metrics: Sequence[Mapping[str, Any]], kind: str, key: str) -> Curve:
    """Steps and values of the rows that have both, in the order of the steps; what is missing or not finite is not."""
    points = [
        (float(row["step"]), float(row[key]))
        for row in metrics
        if row.get("kind") == kind and _is_finite(row.get("step")) and _is_finite(row.get(key))
    ]
    points.sort(key=lambda point: point[0])
    steps, values = np.array(points, np.float64).reshape(-1, 2).T
    return steps, values


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)


def _thin(curve: Curve) -> Curve:
    """At most `MOST_POINTS` points: the means of neighbours."""
    if len(curve[0]) <= MOST_POINTS:
        return curve
    parts = [np.array_split(values, MOST_POINTS) for values in curve]
    steps, values = (np.array([part.mean() for part in column]) for column in parts)
    return steps, values


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over a window that opens at the steep start, where the curve keeps its first value, and stays open."""
    at = np.arange(len(values))
    reach = np.minimum(at, len(values) // 40)
    low, high = at - reach, np.minimum(at + reach + 1, len(values))
    total = np.concatenate([[0.0], np.cumsum(values)])
    return (total[high] - total[low]) / (high - low)


def _draw(
    axes: Axes,
    curves: Mapping[str, Curve],
    title: str,
    *,
    noisy: bool,
    looks: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """The curves by their names; `looks` are their lines, of which then no legend speaks."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    shown = []
    for kind, curve in curves.items():
        steps, values = _thin(curve)
        color = ACCENT if kind == "valid" else MUTED
        look = looks[kind] if looks else {"color": color}
        marker = "o" if len(steps) == 1 or (kind != "train" and len(steps) <= 30) else None
        smooth = values
        if noisy and kind == "train" and len(steps) >= 80:
            axes.plot(steps, values, color=color, linewidth=0.8, alpha=0.3)
            smooth = _smooth(values)
        axes.plot(steps, smooth, **look, linewidth=1.6, marker=marker, markersize=3.5, label=kind)
        shown.append(smooth)
    low, high = _limits(np.concatenate(shown))
    axes.set_ylim(low, high)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK, pad=9)
    axes.set_xlabel("step", fontsize=9, color=MUTED, loc="right", labelpad=2)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    if len(every := np.unique(np.concatenate([steps for steps, _ in curves.values()]))) == 1:
        axes.set_xticks(every)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}".replace("-", "−")))
    axes.tick_params(labelsize=9, labelcolor=MUTED, color=LINE, length=0, pad=5)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LINE)
    if len(curves) > 1 and not looks:
        legend = axes.legend(
            loc="lower right", bbox_to_anchor=(1.01, 1.0), ncols=2, frameon=False, fontsize=9, handlelength=1.2,
            columnspacing=1.2, borderaxespad=0.1,
        )  # fmt: skip
        for text in legend.get_texts():
            text.set_color(MUTED)


def _limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """The range of the y axis: of all values, unless the one per cent at either end is so far out as to flatten the
    rest."""
    low, high = np.quantile(values, [0.01, 0.99])
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high)):  # a constant, or a single value
        span = 0.1 * abs(high) or 1.0
        return float(low - span), float(high + span)
    low = values.min() if values.min() > low - span else low - span / 4
    high = values.max() if values.max() < high + span else high + span / 4
    return float(low - span / 20), float(high + span / 20)


def _svg(figure: Any, name: str) -> str:
    """The figure as an SVG element whose colours are those of the style sheet, also where it stands alone."""
    from matplotlib import rc_context

    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    text = StringIO()
    # Text stays text, in the reader's own font; the salt makes the same curves the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "sketchrnn"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]  # the XML declaration and a document type that names a page of w3.org
    svg = svg.replace("*{", ".curves *{")  # matplotlib's rules would hold for the drawings in the page too
    for color, variable in COLORS.items():
        svg = svg.replace(color, variable)
    style = (
        f".curves{{{LIGHT};background:var(--paper)}}@media(prefers-color-scheme:dark){{.curves{{{DARK}}}}}"
        ".curves text{font-family:system-ui,sans-serif!important}"
    )
    head = f'<svg class="curves" role="img" aria-label="{escape(name)}"'
    opened = svg.index(">") + 1
    return head + svg[len("<svg") : opened] + f"<style>{style}</style>" + svg[opened:]


def _curves(metrics: Sequence[Mapping[str, Any]]) -> str:
    from matplotlib.figure import Figure

    panels = []
    for key, title, note, curves in _found(metrics):
        figure = Figure(figsize=(4.3, 2.75), layout="constrained")
        _draw(figure.add_subplot(), curves, title, noisy=key not in SCHEDULES)
        panels.append(f"<figure>{_svg(figure, title)}<figcaption>{escape(note)}</figcaption></figure>\n")
    return f'<section><h2>Curves</h2>\n<div class="panels">\n{"".join(panels)}</div></section>\n' if panels else ""


# -- the other parts


def _section(section: Section) -> str:
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in section.text.split("\n\n") if part.strip())
    labels = section.labels or [""] * len(section.drawings)
    cells = "".join(map(_cell, section.drawings, labels))
    fixed = f' style="--columns:{section.columns}"' if section.columns else ""
    kind = "rows" if section.columns else "sheet"
    sheet = f'<div class="scroll"><div class="{kind}"{fixed}>\n{cells}</div></div>' if cells else ""
    return f"<section><h2>{escape(section.title)}</h2>{paragraphs}\n{sheet}</section>\n"


def _cell(drawing: Drawing, label: str) -> str:
    # Of one size at the origin: a browser keeps seven digits, too few for a small drawing far from there.
    svg = grid_svg(drawing.fitted(10_000), cell=100, background=None, color="currentColor").strip()
    caption = f"<figcaption>{escape(label)}</figcaption>" if label else ""
    return f"<figure>{svg}{caption}</figure>\n"


def _figures(figures: Mapping[str, float | str | None]) -> str:
    tiles = "".join(f"<div><dt>{escape(name)}</dt><dd>{_value(value, 4)}</dd></div>" for name, value in figures.items())
    return f'<dl class="figures">{tiles}</dl>\n' if tiles else ""


def _settings(settings: Mapping[str, Mapping[str, object]]) -> str:
    tables = []
    for heading, rows in settings.items():
        cells = "".join(
            f'<tr><th scope="row">{escape(name)}</th><td>{_value(value)}</td></tr>' for name, value in rows.items()
        )
        tables.append(f"<table><caption>{escape(heading)}</caption><tbody>{cells}</tbody></table>\n")
    return f'<section><h2>Settings</h2>\n<div class="tables">\n{"".join(tables)}</div></section>\n' if tables else ""


def _value(value: object, digits: int | None = None) -> str:
    """A value as a person reads it, escaped; floats in full or with so many digits."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return (f"{value:.{digits}g}" if digits else f"{float(value)}").replace("-", "−")
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value)) or "–"
    return escape(str(value))


STYLE = (
    f"""
:root{{{LIGHT};color-scheme:light dark}}
@media(prefers-color-scheme:dark){{:root{{{DARK}}}}}
"""
    + """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1120px;margin:0 auto;padding:clamp(28px,6vw,72px) clamp(16px,4vw,40px)}
header p{margin:0 0 6px;color:var(--accent);font-weight:600;letter-spacing:.02em}
h1{margin:0;font-size:clamp(1.7rem,5vw,2.6rem);line-height:1.15;letter-spacing:-.02em;text-wrap:balance;
 overflow-wrap:anywhere}
h2{margin:0 0 8px;font-size:1.3rem;letter-spacing:-.01em;overflow-wrap:anywhere}
section{margin-top:clamp(40px,6vw,64px)}
section>p{max-width:68ch;margin:0 0 10px;color:var(--muted);overflow-wrap:anywhere}
figure{margin:0}
figcaption{color:var(--muted);font-size:.8rem;line-height:1.4;overflow-wrap:anywhere}
.figures{display:flex;flex-wrap:wrap;gap:1px;margin:36px 0 0;
 background:var(--line);border:1px solid var(--line);border-radius:12px;overflow:hidden}
.figures div{flex:1 1 165px;padding:18px 20px;background:var(--paper)}
dt{color:var(--muted);font-size:.85rem}
dd{margin:2px 0 0;font-size:1.7rem;font-weight:600;letter-spacing:-.02em;line-height:1.25;
 font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.tables{columns:2 360px;column-gap:40px;margin-top:18px}
.panels{display:grid;gap:20px;margin-top:18px;
 grid-template-columns:repeat(auto-fill,minmax(min(100%,400px),1fr))}
.panels figure{padding:14px 16px 16px;background:var(--paper);border:1px solid var(--line);border-radius:12px}
.panels svg{display:block;width:100%;height:auto}
.panels figcaption{margin-top:8px}
.scroll{overflow-x:auto;margin-top:18px}
.sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(96px,1fr));gap:10px}
.rows{display:grid;grid-template-columns:repeat(var(--columns),minmax(72px,150px));gap:10px}
.sheet svg,.rows svg{display:block;width:100%;height:auto;background:var(--paper);border:1px solid var(--line);
 border-radius:8px}
.sheet figcaption,.rows figcaption{padding:4px 2px 2px;text-align:center}
table{width:100%;margin-bottom:28px;border-collapse:collapse;font-size:.92rem;break-inside:avoid}
caption{padding-bottom:6px;text-align:left;font-weight:600}
th,td{padding:6px 0;border-top:1px solid var(--line);text-align:left;vertical-align:top;font-weight:400;
 overflow-wrap:anywhere}
th{padding-right:16px;color:var(--muted)}
td{text-align:right;font-variant-numeric:tabular-nums}
@media print{.scroll{overflow:visible}section{break-inside:avoid}}
"""
)
