"""Versions of the price book: which one prices calls, what each changed, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from dashboard.access import Viewer
from dashboard.acting import action, as_shown
from dashboard.frame import organization
from dashboard.parts.estimates_prices import effect_rows, month_sentence
from dashboard.reading.base import database, ledger_url
from dashboard.reading.estimates_challenger import read_rollback
from dashboard.wording import plain, plural
from engine.ledger.price_books import SHIPPED, BookRecord, label_of, roll_back
from engine.settings import read_settings

MOST_ROWS = 200
_MADE = {"set": "price set", "import": "import", "promote": "calibration approved", "rollback": "rollback"}


class Back(NamedTuple):
    """A way back: to a version, from the one that was live when it was looked at."""

    version: int
    live: int


def price_book(versions: Sequence[BookRecord]) -> None:
    """The versions, and going back to one."""
    st.subheader("Price book", anchor=False)
    if not versions:
        st.caption(
            "Calls are priced by the book that Bursar ships. An approved challenger, an import or "
            "`bursar prices set` makes a version; then there is a way back from here."
        )
        return
    live = as_shown("price_book_base", versions[0].version)
    st.dataframe(
        version_rows(versions), hide_index=True, key="versions", alt="Versions of the price book, newest first",
        column_config={"Version": st.column_config.TextColumn(pinned=True)},
    )  # fmt: skip
    earlier = [each.version for each in versions[1:]]
    choices = [*earlier, *([] if SHIPPED in earlier else [SHIPPED])]
    version = st.selectbox(
        "Go back to", choices, index=None, placeholder="Choose a version to see what would change", key="back",
        format_func=back_words, width=420,
    )  # fmt: skip
    if version is None:
        return
    with st.spinner(f"Comparing {label_of(version)} with {label_of(live)}"):
        view = read_rollback(ledger_url(), organization(), live, version)
    if not view.rows:
        st.info(f"{label_of(version)} says the same as {label_of(live)}: there is nothing to go back to.",
                icon=":material/check:")  # fmt: skip
        return
    st.markdown(
        f"**Back to {plain(back_words(version))}** changes {plural(len(view.rows), 'row')} of the book. "
        + plain(
            month_sentence(view.effects) if view.effects else "No segment of the last 30 days is priced differently."
        )
    )
    if view.effects:
        st.dataframe(
            effect_rows(view.effects)[:MOST_ROWS], hide_index=True, key="rollback_effects",
            alt="Price now and then of each segment whose price changes",
        )  # fmt: skip
    with st.expander("All rows that change"):
        st.dataframe([{"Change": row} for row in view.rows[:MOST_ROWS]], hide_index=True, key="rollback_rows")
        if len(view.rows) > MOST_ROWS:
            st.caption(f"The first {MOST_ROWS} of {len(view.rows):,}; `bursar prices diff {live} {version}` has all.")
    action(
        "Roll back", key="rollback", needs="engineer", fields=lambda: Back(version, live), do=go_back,
        icon=":material/undo:", confirm=f"Roll back to {label_of(version)}",
    )  # fmt: skip


def back_words(version: int) -> str:
    """`v2`, or the shipped one by what it is."""
    return f"{label_of(version)} (ships with Bursar)" if version == SHIPPED else label_of(version)


def go_back(viewer: Viewer, reason: str, back: Back) -> str:
    """Make a new version with the old content. Raises `BookMoved` when another one became live meanwhile."""
    with st.spinner("Making a new version of the price book"), database(ledger_url()).write() as connection:
        made = roll_back(
            connection, organization(), back.version, base=back.live, author=viewer.name, reason=reason
        )  # fmt: skip
    return (
        f"Rolled back: {label_of(made.version)} of the price book says what {label_of(back.version)} did. "
        f"Running services take it up within {read_settings().cache_ttl_seconds} s."
    )


def version_rows(versions: Sequence[BookRecord]) -> list[dict[str, str]]:
    """One row a version, newest first."""
    return [
        {
            "Version": label_of(each.version),
            "State": "live" if place == 0 else "earlier",
            "Made (UTC)": f"{each.created_at:%d %b %Y %H:%M}",
            "How": _MADE.get(each.action, each.action),
            "By": each.author,
            "Reason": each.reason,
        }
        for place, each in enumerate(versions)
    ]
