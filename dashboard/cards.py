"""A chart under its finding with the same as a table, and tables that can be taken along as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from dashboard.charts.base import Chart
from dashboard.wording import plain
from engine.csv_text import csv_text

Colour = Literal["off", "red", "orange", "green"]
NOTHING = "–"
"""In place of a number that there is not."""
MOST_ROWS = 200
"""More rows are not shown: nobody reads them, and each costs time."""
CONFIG = {"displayModeBar": False, "responsive": True}


@dataclass(frozen=True, slots=True)
class Number:
    """One number at the top of a page, with what it is compared with; a colour only where it is a status."""

    label: str
    value: str
    beside: str
    help: str = ""
    colour: Colour = "off"


def number_row(numbers: Sequence[Number], *, key: str | None = None) -> None:
    """Numbers beside each other, two in a row on a phone."""
    cards = st.grid(len(numbers), min_column_width=150, key=key)
    for number in numbers:
        cards.metric(
            number.label, plain(number.value) if number.value == NOTHING else number.value,
            help=plain(number.help) or None, delta=plain(number.beside), delta_color=number.colour,
            delta_arrow="off", border=True,
        )  # fmt: skip


def chart_card(chart: Chart, key: str, note: str | None = None) -> None:
    """One chart in a frame: its finding as title, the figure, a note, the numbers when they are asked for."""
    with st.container(border=True, key=f"{key}_card"):
        st.markdown(f"**{plain(chart.title)}**")
        st.plotly_chart(chart.figure, width="stretch", key=key, alt=chart.alt, config=CONFIG)
        if note:
            st.caption(note)
        _as_table(chart.rows, chart.alt, key)


@st.fragment
def _as_table(rows: Sequence[Mapping[str, Any]], alt: str, key: str) -> None:
    """The numbers of a chart. Made when they are wanted: a page of six charts would wait for six tables else."""
    with st.expander("As a table", key=f"{key}_as_table", on_change="rerun") as table:
        if not table.open:
            return
        if rows:
            st.dataframe(rows[:MOST_ROWS], hide_index=True, key=f"{key}_table", alt=alt)
            download(rows, key)
        else:
            st.caption("Nothing to list.")


def download(rows: Sequence[Mapping[str, Any]], name: str, label: str = "CSV") -> None:
    """A button that gives the rows as a file."""
    st.download_button(
        label, lambda: csv_text(rows), file_name=f"{name.replace('_', '-')}.csv", mime="text/csv",
        icon=":material/download:", key=f"{name}_csv", on_click="ignore", type="tertiary",
    )  # fmt: skip
