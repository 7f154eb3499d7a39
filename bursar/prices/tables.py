"""Tables: drawn on a terminal, in aligned columns elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bursar.governing.screen import say, shown

GAP = "  "
SHORTEST = 16
CUT = "source"
"""The column that is cut to what room there is on a terminal, or left out; elsewhere it is whole."""


def say_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Write a table; the columns in `right` are numbers, `source` is the last one if any.

    Elsewhere than on a terminal no cell is shortened.
    """
    cells = [[shown(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, cells, right)
        return
    for line in (columns, *cells):
        padded = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, cell, width in zip(columns, line, _widths(columns, cells), strict=True)
        ]
        say(f"{GAP}{GAP.join(padded)}".rstrip())


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    console = Console(highlight=False)
    strong = "" if console.no_color else "bold"
    table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style=strong)
    # Two short words below each other take less room than beside each other.
    heads = [column.replace(" ", "\n") if column in right else column for column in columns]
    widths = _widths([max(head.split("\n"), key=len) for head in heads], rows)
    others = sum(width + len(GAP) for column, width in zip(columns, widths, strict=True) if column != CUT)
    room = console.width - others
    for column, head in zip(columns, heads, strict=True):
        if column != CUT:
            number = column in right
            table.add_column(head, justify="right" if number else "left", overflow="fold", no_wrap=number)
        elif room >= SHORTEST:
            table.add_column(head, overflow="ellipsis", no_wrap=True, max_width=room)
    for row in rows:
        table.add_row(*map(Text, row[: len(table.columns)]))
    console.print(table)
    if len(table.columns) < len(columns):
        say("(a wider terminal shows the sources too, and so does --json)")


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(line[place]) for line in (columns, *rows)) for place in range(len(columns))]
