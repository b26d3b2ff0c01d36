"""What a command shows: quiet tables that fit 80 columns, and a bar while something takes its time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

MOST_PARTS = 20  # of a list or a mapping; `--json` has them all


def figures(title: str, values: Mapping[str, object]) -> None:
    """Two columns: what, and how much. What is empty is left out."""
    lines = [(name, _text(value)) for name, value in values.items()]
    rows(title, ("", ""), [line for line in lines if line[1]])


def rows(title: str, header: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """A table with a title; a header of empty strings is not shown."""
    table = Table(
        title=Text(title),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_header=any(header),
        pad_edge=False,
        collapse_padding=True,
    )
    for column in header:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))  # Text, since brackets in a name are no markup
    Console().print(table)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """A moving bar on a terminal's stderr for work whose end is not known; it goes away with the work."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(24), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        bar.add_task(what, total=None)
        yield


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping):
        parts = ((name, _text(part)) for name, part in value.items())
        return _some([f"{name} {text}" for name, text in parts if text])
    if isinstance(value, list | tuple):
        return _some(list(map(_text, value)))
    return str(value)


def _some(parts: list[str]) -> str:
    more = [f"and {len(parts) - MOST_PARTS:,} more"] if len(parts) > MOST_PARTS else []
    return ", ".join(parts[:MOST_PARTS] + more)
