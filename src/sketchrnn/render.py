"""Pictures of drawings: SVG, still or drawing itself, PNG, GIF and MP4, of one drawing or a grid.

There is one picture, `sketchrnn.formats.svg.document`; the rest is made from it: PNG by rasterising it, the animated
SVG by giving each stroke its time, GIF and MP4 by rasterising it as it looks at each moment.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sketchrnn import formats
from sketchrnn.drawing import STROKE_COLOR, Drawing
from sketchrnn.formats import svg as svg_format
from sketchrnn.formats.atomic import atomic_file

if TYPE_CHECKING:
    from PIL.Image import Image

SECONDS = 4.0  # in which a drawing draws itself
HOLD = 1.5  # seconds for which a film rests on the finished drawing
FPS = 25.0
GREYS = 16  # of a GIF: ink, paper and what smooths the edge between them

MAX_PIXELS = 64_000_000  # of a picture: 256 MB while it is drawn
MAX_FRAME_PIXELS = 8_300_000  # of a film: 3840 x 2160
MAX_FRAMES = 6_000
MAX_SIDE = 16_384  # in pixels: H.264 has no more, and browsers show little more

DATA_ENDINGS = (".ndjson", ".npz", ".bin", ".inkml")

_PATH = re.compile(r'<path d="([^"]*)"/>')  # as `document` writes the one path of each drawing

# No rule applies, and all is there at once, for a reader who wants no motion or a viewer that knows none. The dash is
# a little longer than the stroke, whose pathLength is 1, so that no rounding leaves its end open.
_ANIMATION = (
    "<style>@media(prefers-reduced-motion:no-preference){"
    ".drawing>[pathLength]{stroke-dasharray:1.02 2;animation:sketchrnn-draw linear both}"
    "@keyframes sketchrnn-draw{from{stroke-dashoffset:1.02;visibility:hidden}"
    "to{stroke-dashoffset:0;visibility:visible}}}</style>\n"
)


def write(
    drawings: Drawing | Sequence[Drawing],
    path: str | os.PathLike[str],
    *,
    labels: Sequence[str] | None = None,
    columns: int | None = None,
    cell: float | None = None,
    title: str | None = None,
    animate: bool = False,
) -> None:
    """Writes drawings to a file whose ending says what it is to be; the file appears whole or not at all.

    `.svg` `.png` `.gif` `.mp4` are pictures: a grid, or one drawing by itself. An SVG can be read back as the drawings
    it shows. `.ndjson` `.npz` `.bin` `.inkml` are data, to which the options for pictures do not apply.

    Args:
        drawings: one drawing, or several in the order of the grid, row by row.
        path: where to; `.mp4` needs the extra `video`.
        labels: a caption under each drawing.
        columns: drawings in a row; unset, about as many as there are rows.
        cell: side of a drawing's cell in pixels; unset, 160, and 256 for one drawing by itself.
        title: a line above the grid.
        animate: an SVG that draws itself when it is opened. A GIF and an MP4 always do.

    Raises:
        ValueError: the ending is none of these, there is no drawing, the picture would be too large, or the labels are
            not as many as the drawings.
        OSError: the folder is missing or not writable, or the disk is full.
        ImportError: `.mp4` without the extra `video`.
    """
    path = Path(path)
    drawings = _listed(drawings)
    if not drawings:
        raise ValueError(f"there is no drawing to write to {path}")
    if cell is None:
        cell = 256.0 if len(drawings) == 1 else 160.0
    ending = path.suffix.lower()
    if animate and ending not in (".svg", ".gif", ".mp4"):
        raise ValueError(f"{path} cannot be animated; write to a file that ends in .svg, .gif or .mp4")
    if ending == ".svg":
        picture = animated_svg if animate else grid_svg
        text = picture(drawings, labels=labels, columns=columns, cell=cell, title=title)
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    elif ending == ".png":
        png = to_png(grid_svg(_at_origin(drawings), labels=labels, columns=columns, cell=cell, title=title))
        with atomic_file(path) as temporary:
            temporary.write_bytes(png)
    elif ending == ".gif":
        gif(drawings, path, labels=labels, columns=columns, cell=cell, title=title)
    elif ending == ".mp4":
        mp4(drawings, path, labels=labels, columns=columns, cell=cell, title=title)
    elif ending in DATA_ENDINGS:
        formats.write(drawings, path)
    else:
        raise ValueError(
            f"{path} does not say what to write: its ending must be .svg, .png, .gif or .mp4 for a picture, "
            f"or {', '.join(DATA_ENDINGS)} for data"
        )


def grid_svg(
    drawings: Drawing | Sequence[Drawing],
    *,
    labels: Sequence[str] | None = None,
    columns: int | None = None,
    cell: float = 160.0,
    title: str | None = None,
    background: str | None = "#ffffff",
    color: str = STROKE_COLOR,
    colors: Sequence[str] | None = None,
) -> str:
    """The drawings in a grid as an SVG document, each fitted into its cell; see `sketchrnn.formats.svg.document`.

    Raises:
        ValueError: there are not as many labels or colors as drawings, or columns or cell are not positive.
    """
    return svg_format.document(
        _listed(drawings),
        columns=columns,
        labels=labels,
        cell=cell,
        title=title,
        background=background,
        color=color,
        colors=colors,
    )


def animated_svg(
    drawings: Drawing | Sequence[Drawing],
    *,
    seconds: float = SECONDS,
    labels: Sequence[str] | None = None,
    columns: int | None = None,
    cell: float = 160.0,
    title: str | None = None,
    background: str | None = "#ffffff",
    color: str = STROKE_COLOR,
) -> str:
    """The picture of `grid_svg`, drawing itself once: every drawing stroke by stroke, all done after `seconds`.

    The animation is CSS without a script: it plays in a browser, also inside an `<img>`, and not for a reader who
    prefers reduced motion. Any other viewer shows the finished drawings.

    Raises:
        ValueError: as for `grid_svg`, or `seconds` is not positive.
    """
    drawings = _listed(drawings)
    _check_seconds(seconds)
    still = grid_svg(
        drawings, labels=labels, columns=columns, cell=cell, title=title, background=background, color=color
    )
    waiting = iter(drawings)

    def timed(match: re.Match[str]) -> str:
        paths = []
        for stroke, (start, end) in zip(_strokes(match[1]), _times(next(waiting)), strict=True):
            delay, duration = f"{start * seconds:.3f}s", f"{(end - start) * seconds:.3f}s"
            whole = ";stroke-dasharray:none" if start == end else ""  # a dot has no length to dash
            style = f"animation-delay:{delay};animation-duration:{duration}{whole}"
            paths.append(f'<path d="{stroke}" pathLength="1" style="{style}"/>')
        return "".join(paths)

    return _PATH.sub(timed, still).replace(">\n", ">\n" + _ANIMATION, 1)


def to_png(svg: str, *, width: int | None = None) -> bytes:
    """An SVG document as PNG, at its own size in pixels or `width` pixels wide.

    Text is set in DejaVu Sans, which comes with matplotlib, so that it looks the same everywhere; the fonts of the
    machine are consulted only for other scripts than Latin, and without any that knows a character it is left out.

    Raises:
        ValueError: it is not SVG, its size is not in pixels, or the picture would be larger than `MAX_PIXELS` or
            `MAX_SIDE`.
    """
    import resvg_py

    if width is not None and width < 1:
        raise ValueError(f"a picture {width} pixels wide cannot be drawn; it needs at least 1")
    across, down = _size(svg)
    zoom = width / across if width else 1.0
    _check_size(zoom * across, zoom * down, MAX_PIXELS)
    fonts = [str(_font())] if "<text" in svg else None
    try:
        return resvg_py.svg_to_bytes(
            svg_string=svg,
            width=width,
            skip_system_fonts=svg.isascii() or fonts is None,
            font_files=fonts,
            font_family="DejaVu Sans",
            sans_serif_family="DejaVu Sans",
        )
    except ValueError as error:
        raise ValueError(f"the SVG cannot be drawn: {error}") from None


def gif(
    drawings: Drawing | Sequence[Drawing],
    path: str | os.PathLike[str],
    *,
    seconds: float = SECONDS,
    fps: float = FPS,
    labels: Sequence[str] | None = None,
    columns: int | None = None,
    cell: float = 160.0,
    title: str | None = None,
) -> None:
    """Writes a GIF of the drawings drawing themselves within `seconds`; it rests on the finished picture and repeats.

    Raises:
        ValueError: as for `grid_svg`; or it would have too many frames or pixels. A GIF has at most 50 frames a second.
        OSError: the file cannot be written.
    """
    from PIL import Image

    if fps > 50:
        raise ValueError(f"a GIF cannot show {fps:g} frames a second; it can show at most 50")
    ink = np.array([int(STROKE_COLOR[i : i + 2], 16) for i in (1, 3, 5)])
    shades = np.linspace(ink, 255, GREYS).round().astype(np.uint8)

    def indexed(frame: Image.Image) -> Image.Image:
        red = np.asarray(frame)[:, :, 0].astype(np.float32)  # between ink and paper, one channel tells all
        share = (red - ink[0]) / (255 - ink[0])
        picture = Image.fromarray((share.clip(0, 1) * (GREYS - 1)).round().astype(np.uint8))
        picture.putpalette(shades.tobytes())
        return picture

    frames = map(indexed, _frames(drawings, seconds, fps, labels=labels, columns=columns, cell=cell, title=title))
    first = next(frames)
    num_frames = _num_frames(seconds, fps)
    # A GIF counts hundredths of a second: each frame ends at the one nearest to its time, so that no error adds up.
    ends = [round(100 * (i + 1) / fps) for i in range(num_frames)]
    durations = [10 * (end - start) for start, end in itertools.pairwise([0, *ends])]
    durations[-1] += round(1000 * HOLD)
    with atomic_file(path) as temporary:
        first.save(temporary, "GIF", save_all=True, append_images=frames, duration=durations, loop=0, optimize=True)


def mp4(
    drawings: Drawing | Sequence[Drawing],
    path: str | os.PathLike[str],
    *,
    seconds: float = SECONDS,
    fps: float = FPS,
    labels: Sequence[str] | None = None,
    columns: int | None = None,
    cell: float = 160.0,
    title: str | None = None,
) -> None:
    """Writes an H.264 film of the drawings drawing themselves within `seconds`; it ends on the finished picture.

    Raises:
        ImportError: the extra `video` is not installed.
        ValueError: as for `grid_svg`; or the film would have too many frames or pixels.
        OSError: the file cannot be written.
    """
    try:
        import av
    except ImportError:
        raise ImportError('an MP4 needs one more package; install it with: pip install "sketchrnn[video]"') from None
    from fractions import Fraction

    from PIL import ImageOps

    frames = _frames(drawings, seconds, fps, labels=labels, columns=columns, cell=cell, title=title)
    first = next(frames)
    # Written with its index in front, so that a browser plays it while it loads.
    options = {"movflags": "faststart"}
    with atomic_file(path) as temporary, av.open(str(temporary), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options={"crf": "20"})
        # Colour is stored for 2 x 2 pixels at a time, so that both sides must be even.
        stream.width, stream.height = (side + side % 2 for side in first.size)
        stream.pix_fmt = "yuv420p"
        for picture in _resting(itertools.chain([first], frames), round(HOLD * fps)):
            even = ImageOps.expand(picture, (0, 0, picture.width % 2, picture.height % 2), fill="white")
            container.mux(stream.encode(av.VideoFrame.from_image(even)))
        container.mux(stream.encode())


# -- time


def _listed(drawings: Drawing | Sequence[Drawing]) -> list[Drawing]:
    return [drawings] if isinstance(drawings, Drawing) else list(drawings)


def _at_origin(drawings: Sequence[Drawing]) -> list[Drawing]:
    """Of one size at the origin: a rasteriser keeps seven digits, too few for a small drawing far from there."""
    return [drawing.fitted(1000) for drawing in drawings]


def _strokes(path: str) -> list[str]:
    """The strokes in the `d` of a drawing's path, each a path of its own."""
    return ["M" + stroke for stroke in path.split("M")[1:]]


def _lengths(drawing: Drawing) -> list[float]:
    return [float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in drawing.lines()]


def _times(drawing: Drawing) -> list[tuple[float, float]]:
    """When each stroke starts and ends, as fractions of the whole: the pen keeps one pace, and rests a little between
    strokes. A dot starts and ends at once."""
    lengths = _lengths(drawing)
    pause = drawing.size / 20
    total = sum(lengths) + pause * (len(lengths) - 1)
    times, now = [], 0.0
    for length in lengths:
        times.append((now / total, (now + length) / total) if total > 0 else (0.0, 0.0))
        now += length + pause
    return times


def _num_frames(seconds: float, fps: float) -> int:
    return max(1, round(seconds * fps))


def _frames(
    drawings: Drawing | Sequence[Drawing],
    seconds: float,
    fps: float,
    *,
    labels: Sequence[str] | None,
    columns: int | None,
    cell: float,
    title: str | None,
) -> Iterator[Image]:
    """The picture at each frame's end, RGB, the last one whole. Everything is checked before the first."""
    from PIL import Image

    drawings = _at_origin(_listed(drawings))
    if not drawings:
        raise ValueError("there is no drawing to animate")
    _check_seconds(seconds)
    if not 1 <= fps <= 60:
        raise ValueError(f"a film of {fps:g} frames a second cannot be made; take 1 to 60")
    num_frames = _num_frames(seconds, fps)
    if num_frames > MAX_FRAMES:
        raise ValueError(f"{seconds:g} seconds at {fps:g} frames each are more than {MAX_FRAMES} frames; take fewer")
    still = grid_svg(drawings, labels=labels, columns=columns, cell=cell, title=title)
    _check_size(*_size(still), MAX_FRAME_PIXELS)
    lengths = [_lengths(drawing) for drawing in drawings]
    times = [_times(drawing) for drawing in drawings]
    for frame in range(1, num_frames + 1):
        places = itertools.count()

        def grown(match: re.Match[str], now: float = frame / num_frames, places: Iterator[int] = places) -> str:
            i = next(places)
            return _at(now, _strokes(match[1]), lengths[i], times[i])

        yield Image.open(BytesIO(to_png(_PATH.sub(grown, still)))).convert("RGB")


def _resting(frames: Iterator[Image], times: int) -> Iterator[Image]:
    """The frames, and the last one so many times more."""
    for frame in frames:
        yield frame
    yield from itertools.repeat(frame, times)


def _at(now: float, strokes: Sequence[str], lengths: Sequence[float], times: Sequence[tuple[float, float]]) -> str:
    """Paths of what stands on the sheet at the fraction `now` of the time."""
    done, paths = [], []
    for stroke, length, (start, end) in zip(strokes, lengths, times, strict=True):
        if end <= now or now == 1:
            done.append(stroke)
        elif start < now:
            part = length * (now - start) / (end - start)
            paths.append(f'<path d="{stroke}" stroke-dasharray="{part:.6g} {2 * length:.6g}"/>')
    return "".join([f'<path d="{"".join(done)}"/>', *paths])


# -- limits


def _check_seconds(seconds: float) -> None:
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"a drawing cannot draw itself in {seconds:g} seconds; the time must be positive")


def _check_size(width: float, height: float, most: int) -> None:
    if not (width * height <= most and max(width, height) <= MAX_SIDE):
        raise ValueError(
            f"a picture of {width:.0f} x {height:.0f} pixels is too large, beyond {most / 1e6:g} million or {MAX_SIDE} "
            "at a side: take fewer drawings, a smaller cell or other columns"
        )


def _size(svg: str) -> tuple[float, float]:
    """Width and height of the SVG element, which must be in pixels: a rasteriser given none may want all memory."""
    head = re.search(r"<svg\b[^>]*>", svg)
    sides = []
    for name in ("width", "height"):
        found = head and re.search(rf'\s{name}="(\d+(?:\.\d+)?(?:e\+\d+)?)(?:px)?"', head[0])
        if not found or not float(found[1]) > 0:
            raise ValueError(f"the SVG cannot be drawn: its svg element needs a {name} in pixels")
        sides.append(float(found[1]))
    return sides[0], sides[1]


def _font() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
