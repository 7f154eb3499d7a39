"""Tables: drawn on a terminal that is wide enough, in aligned columns elsewhere. No cell is ever shortened."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bursar.governing.screen import say, shown

GAP = "  "


def say_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Write a table; the columns in `right` are numbers."""
    cells = [[shown(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and _draw(columns, cells, right):
        return
    widths = _widths(columns, cells)
    for line in (columns, *cells):
        padded = []
        for column, cell, width in zip(columns, line, widths, strict=True):
            room = " " * (width - cell_len(cell))
            padded.append(f"{room}{cell}" if column in right else f"{cell}{room}")
        say(f"{GAP}{GAP.join(padded)}".rstrip())


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> bool:
    """Draw the table, unless the terminal lacks the room: drawn all the same, it would lose digits and columns."""
    console = Console(highlight=False)
    # Two short words below each other take less room than beside each other.
    heads = [column.replace(" ", "\n") if column in right else column for column in columns]
    widths = _widths([max(head.split("\n"), key=cell_len) for head in heads], rows)
    if sum(width + len(GAP) for width in widths) > console.width:
        return False
    strong = "" if console.no_color else "bold"
    table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style=strong)
    for column, head in zip(columns, heads, strict=True):
        table.add_column(head, justify="right" if column in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
    return True


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(cell_len(line[place]) for line in (columns, *rows)) for place in range(len(columns))]
