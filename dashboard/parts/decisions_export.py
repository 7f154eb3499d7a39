"""The decisions that the filters leave as a CSV file: who took it and why is in the audit log before it is made."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from dashboard.access import Role, Viewer, current_viewer, may
from dashboard.acting import action
from dashboard.frame import organization
from dashboard.reading.base import database, ledger_url
from dashboard.wording import plain, plural
from engine.clock import utc_now
from engine.errors import InvalidValue
from engine.ledger.decisions_file import Extent, begin_export, file_parts
from engine.ledger.queries.decision_filter import DecisionFilter

MOST_ROWS = 100_000
"""Of one file made on a page, which is kept in memory; `bursar decisions export` has no such bound."""
NEEDS: Role = "engineer"
_KEPT = "decisions_file"


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that is ready to be taken, for whom and of what."""

    org_id: str
    viewer: str
    wanted: DecisionFilter
    data: bytes
    name: str


def export_button(wanted: DecisionFilter, words: str) -> None:
    """The button that makes the file, and the one that gives it once it is made."""
    action(
        "Export CSV",
        key="export",
        needs=NEEDS,
        icon=":material/download:",
        confirm="Make the file",
        fields=lambda: _told(words),
        do=lambda viewer, reason, _: make_file(viewer, reason, wanted),
    )
    made: MadeFile | None = st.session_state.get(_KEPT)
    if made is None:
        return
    viewer = current_viewer(organization())
    if (made.org_id, made.viewer, made.wanted) != (organization(), viewer.name, wanted) or not may(viewer, NEEDS):
        # Made for other filters: what is offered must be what is seen.
        del st.session_state[_KEPT]
        return
    st.download_button(
        "Save the file", made.data, made.name, "text/csv", key="save_export", icon=":material/save:",
        on_click="ignore", type="primary",
    )  # fmt: skip


def _told(words: str) -> None:
    st.caption(
        f"A file of {plain(words)}, oldest first, at most {MOST_ROWS:,} rows. Times are UTC, money is US dollars."
    )


def make_file(viewer: Viewer, reason: str, wanted: DecisionFilter) -> str:
    """Count, write the audit entry, read the rows. Returns what was made, in a sentence."""
    now = utc_now()
    # Not later than now: the number in the audit log is of what is exported.
    bounded = replace(wanted, end=now if wanted.end is None else min(now, wanted.end))
    if bounded.start is not None and bounded.end is not None and bounded.start >= bounded.end:
        raise InvalidValue("From", "must be before To, and in the past")
    org_id, name = organization(), f"decisions-{now:%Y%m%d-%H%M%S}.csv"
    ledger = database(ledger_url())
    extent = begin_export(
        ledger, org_id, bounded, author=viewer.name, subject=name, reason=reason, now=now, most=MOST_ROWS
    )
    bar = st.progress(0.0, text="Reading decisions")
    parts: list[str] = []
    read = 0
    for text, rows in file_parts(ledger, org_id, bounded, most=MOST_ROWS):
        parts.append(text)
        read += rows
        bar.progress(min(read / max(extent.rows, 1), 1.0), text=f"{read:,} of {extent.rows:,} decisions")
    sentence = sentence_of(extent, read)
    st.session_state[_KEPT] = MadeFile(org_id, viewer.name, wanted, "".join(parts).encode(), name)
    return sentence


def sentence_of(extent: Extent, read: int) -> str:
    """What the file has, and that it is not all where it is not."""
    made = f"The file is ready: {plural(read, 'decision')}. Save it with the button beside Export CSV."
    if not extent.is_cut:
        return made
    return (
        f"{made} More decisions match: the file has the oldest {MOST_ROWS:,}. Choose a later From for the rest, "
        "or use bursar decisions export, which writes all of them."
    )
