"""What happens to a row that cannot be read: it ends the reading, or is set aside and reading goes on."""

from __future__ import annotations

from collections.abc import Callable

OnBad = Callable[[str, str], None]
"""Gets (where, reason) of a bad row: ("cat.ndjson:17", "point 3 is not finite: ...")."""


def report(bad: OnBad | None, where: str, reason: str) -> None:
    """Hands a bad row to `bad`.

    Raises:
        ValueError: "where: reason", when there is no `bad` to take it.
    """
    if bad is None:
        raise ValueError(f"{where}: {reason}")
    bad(where, reason)
