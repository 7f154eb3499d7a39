"""The versions of the governance document: who made each and why, what differs, and the way back."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.access import Viewer, current_viewer, may
from dashboard.acting import action, as_shown
from dashboard.frame import organization
from dashboard.reading.base import database, ledger_url
from dashboard.reading.health import read_diff, read_live_version, read_source, read_versions
from dashboard.wording import plain, plural
from engine.addresses import without_paths
from engine.clock import utc_now
from engine.document.diff import Change
from engine.document.rolling_back import roll_back
from engine.document.store import VersionRecord
from engine.errors import DocumentError
from engine.in_force import put_in_force
from engine.settings import read_settings

MOST_CHANGES = 200
_ICONS = {
    "added": ":green[:material/add_circle:]",
    "removed": ":red[:material/remove_circle:]",
    "changed": ":orange[:material/change_circle:]",
}


def document_tab() -> None:
    """Versions, the difference of two, rollback."""
    versions = read_versions(ledger_url(), organization())
    if not versions:
        st.info("No governance document yet: run `bursar apply FILE`.", icon=":material/description:")
        return
    st.dataframe(
        [
            {
                "Version": record.version,
                "Live": "live" if record is versions[0] else "",
                "Author": record.author,
                "Reason": record.reason,
                "Made (UTC)": f"{record.created_at:%d %b %Y %H:%M:%S}",
            }
            for record in versions
        ],
        hide_index=True,
        key="versions",
        alt="Versions of the governance document, newest first",
        height="content" if len(versions) <= 8 else 320,
    )
    _difference(versions)
    _way_back(versions)
    _text(versions)


def _difference(versions: Sequence[VersionRecord]) -> None:
    numbers = [record.version for record in versions]
    new, old = asked_versions(numbers, st.query_params.get("version"), st.query_params.get("against"))
    st.subheader("What differs", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        # Another key for another address: a link must show what it names.
        new = st.selectbox("Version", numbers, index=numbers.index(new), key=f"version_{new}_{old}", width=130)
        others = [0, *numbers]
        old = st.selectbox(
            "compared with", others, index=others.index(old), key=f"against_{new}_{old}", width=150,
            format_func=lambda number: str(number) if number else "no document",
        )  # fmt: skip
    st.query_params["version"], st.query_params["against"] = str(new), str(old)
    changes = read_diff(ledger_url(), organization(), old, new)
    if changes is None:
        st.warning("One of these versions cannot be read by this Bursar.", icon=":material/help:")
    elif not changes:
        st.caption(f"Versions {old} and {new} mean the same.")
    else:
        against = f"version {old}" if old else "no document"
        st.caption(f"{plural(len(changes), 'difference')} from {against} to version {new}.")
        with st.container(height=420 if len(changes) > 14 else "content", border=len(changes) > 14):
            st.markdown("  \n".join(change_line(change) for change in changes[:MOST_CHANGES]))
        if len(changes) > MOST_CHANGES:
            st.caption(f"The first {MOST_CHANGES}; `bursar diff` has all of them.")


def asked_versions(numbers: Sequence[int], version: str | None, against: str | None) -> tuple[int, int]:
    """The two versions of an address; what it says wrongly is the newest, and the one before it. 0 is no document."""
    new = next((number for number in numbers if str(number) == version), numbers[0])
    before = max((number for number in numbers if number < new), default=0)
    return new, next((number for number in (0, *numbers) if str(number) == against), before)


def change_line(change: Change) -> str:
    """One difference in Markdown. Of a web address only where it goes: the rest of it may be a secret."""
    return f"{_ICONS.get(change.kind, '')} {plain(without_paths(change.text))}"


def _way_back(versions: Sequence[VersionRecord]) -> None:
    live = as_shown("rollback_base", versions[0].version)
    older = [record.version for record in versions[1:]]
    if not older:
        return
    action(
        "Roll back",
        key="rollback",
        needs="admin",
        icon=":material/settings_backup_restore:",
        confirm="Make it live",
        fields=lambda: _version_to_take(older, live),
        do=lambda viewer, reason, version: _roll_back(viewer, reason, version, live),
    )


def _version_to_take(older: Sequence[int], live: int) -> int:
    version = st.selectbox("Back to version", older, key="rollback_version")
    st.caption("All of it comes back: limits, raises that were ended since, and who had which role.")
    st.caption(f"Makes version {live + 1} with the content of the one chosen; version {live} stays in the list.")
    return int(version)


def _roll_back(viewer: Viewer, reason: str, version: int, live: int) -> str:
    now_live = read_live_version(ledger_url(), organization())
    if now_live != live:
        raise DocumentError(f"version {now_live} has become live meanwhile: look at the page again")
    made = roll_back(
        database(ledger_url()), organization(), version, base=live, author=viewer.name, reason=reason, now=utc_now()
    )
    in_force = put_in_force(read_settings(), database(ledger_url()), made)
    return f"Version {made.version} has the content of version {version}. {in_force}"


def _text(versions: Sequence[VersionRecord]) -> None:
    if not may(current_viewer(organization()), "admin"):
        return
    with st.expander("Text of a version", icon=":material/description:"):
        number = st.selectbox("Version", [record.version for record in versions], key="text_version", width=130)
        text = read_source(ledger_url(), organization(), int(number))
        if text is None:
            st.caption("It was not applied from a file: `bursar export` writes its content.")
        else:
            st.code(without_paths(text), language="yaml", height=420)
            st.caption("Of a web address only where it goes; `bursar export` writes all of it.")
