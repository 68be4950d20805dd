"""Show rows on a terminal as a table, in a pipe as tab-separated lines with a head, or as JSON."""

import json
import sys
from collections.abc import Sequence
from typing import Any


def show(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Print the rows to stdout."""
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not rows:
        return
    if not sys.stdout.isatty():
        print("\t".join(rows[0]))
        for row in rows:
            print("\t".join(plain(value) for value in row.values()))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None)
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*(escape(plain(value)) for value in row.values()))
    Console().print(table)


def plain(value: Any) -> str:
    """Return a value as one word or a few."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value)
