"""What only some may see: settings in effect, findings, the audit log."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard.access import Role, Viewer, may
from dashboard.cards import download
from dashboard.frame import not_permitted, organization
from dashboard.reading.base import ledger_url
from dashboard.reading.health import AuditLine, read_audit, read_audit_actions, read_findings
from dashboard.wording import plain
from engine.doctor.finding import Finding, Level
from engine.settings import Settings
from engine.shown_settings import shown_settings

BELOW = "below"
_LEVELS = {
    Level.PROBLEM: ":red[:material/error: **Problem**]",
    Level.WARNING: ":orange[:material/warning: **Warning**]",
    Level.UNKNOWN: ":gray[:material/help: **Not known**]",
    Level.OK: ":green[:material/check_circle: **Well**]",
}


def permitted(viewer: Viewer, needed: Role, what: str) -> bool:
    """Whether a part is for this viewer; says so when not."""
    if may(viewer, needed):
        return True
    not_permitted(f"{what} needs the role {needed}; you have {viewer.role or 'none'}")
    return False


def settings_tab(viewer: Viewer, settings: Settings) -> None:
    """What this server of the pages was started with; secrets and passwords are hidden."""
    if not permitted(viewer, "admin", "Seeing the settings"):
        return
    st.caption("Of this server of the pages; workers and services read the same variables in their own environment.")
    st.dataframe(
        [
            {"Variable": each.name, "Value": each.value, "": "" if each.is_usual else "set here"}
            for each in shown_settings(settings)
        ],
        hide_index=True,
        key="settings",
        alt="Settings in effect, secrets hidden",
        height=560,
        column_config={"Value": st.column_config.TextColumn(width="large")},
    )


def findings_tab(viewer: Viewer, settings: Settings) -> None:
    """What `bursar doctor` finds, what is wrong first."""
    if not permitted(viewer, "operator", "Seeing the findings"):
        return
    found = read_findings(ledger_url(), organization(), settings)
    bad = [each for level in (Level.PROBLEM, Level.WARNING, Level.UNKNOWN) for each in found if each.level is level]
    well = [each for each in found if each.level is Level.OK]
    if not bad:
        st.success("Nothing is wrong.", icon=":material/check_circle:")
    for finding in bad:
        with st.container(border=True):
            st.markdown(finding_text(finding))
    with st.expander(f"What is well ({len(well)})", expanded=not bad):
        st.markdown("\n\n".join(finding_text(finding) for finding in well) or "Nothing was found to be well.")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Look again", key="look_at_findings", icon=":material/refresh:", on_click=read_findings.clear)
        st.caption("The same as `bursar doctor` says; looked at again after 30 s.")


def finding_text(finding: Finding) -> str:
    """One finding in Markdown: level, sentence, cure."""
    cure = f"  \n:material/build: {_with_commands(finding.cure)}" if finding.cure else ""
    return f"{_LEVELS[finding.level]} {_with_commands(finding.sentence)}{cure}"


def _with_commands(text: str) -> str:
    """What stands between backticks stays code; nothing else is interpreted."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return plain(text)
    return "".join(f"`{part}`" if number % 2 else plain(part) for number, part in enumerate(parts))


def audit_tab(viewer: Viewer) -> None:
    """Who changed what, when and why, newest first."""
    if not permitted(viewer, "admin", "Seeing the audit log"):
        return
    actions = read_audit_actions(ledger_url(), organization())
    action = st.selectbox(
        "Action", actions, index=None, placeholder="All", key="action", bind="query-params", width=240,
        on_change=lambda: _go(None),
    )  # fmt: skip
    asked = st.query_params.get(BELOW, "")
    below = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= 18 else None
    page = read_audit(ledger_url(), organization(), action, below)
    rows = [audit_row(entry) for entry in page.entries]
    if not rows:
        st.info("No entry matches." if action or below else "Nothing has been changed yet.", icon=":material/history:")
    else:
        st.dataframe(
            rows, hide_index=True, key="audit", alt="Entries of the audit log, newest first",
            height="content" if len(rows) <= 16 else 560,
            column_config={"Details": st.column_config.TextColumn(width="large")},
        )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Newest", key="audit_newest", icon=":material/first_page:", disabled=below is None,
                  on_click=lambda: _go(None))  # fmt: skip
        st.button("Older", key="audit_older", icon=":material/chevron_right:", disabled=page.older is None,
                  on_click=lambda: _go(page.older))  # fmt: skip
        if rows:
            download(rows, "audit_log", "This page as CSV")


def audit_row(entry: AuditLine) -> dict[str, Any]:
    """One entry for the table."""
    return {
        "No.": entry.number,
        "At (UTC)": f"{entry.at:%d %b %Y %H:%M:%S}",
        "Who": entry.author,
        "Action": entry.action,
        "What": entry.subject,
        "Why": entry.reason or "–",
        "Details": entry.details or "–",
    }


def _go(below: int | None) -> None:
    if below is None:
        st.query_params.pop(BELOW, None)
    else:
        st.query_params[BELOW] = str(below)
