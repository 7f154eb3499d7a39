"""Policy denials: whether we block the right things."""

from __future__ import annotations

import streamlit as st

from dashboard.cards import NOTHING, Number, chart_card, download, number_row
from dashboard.charts.policy_denials import denials_by_policy, policy_by_agent
from dashboard.filters import filter_row
from dashboard.frame import colours, nothing_yet, organization
from dashboard.head import page_head
from dashboard.narrowing import as_name
from dashboard.parts.policy_explaining import explain_one
from dashboard.parts.policy_table import link_of, policy_rows
from dashboard.reading.base import ledger_url, read_live
from dashboard.reading.policy_denials import read_findings, read_policy_denials
from dashboard.wording import count, percent, plain, plural, reason_label

page_head("Policy denials", "Are we blocking the right things?")
org_id = organization()
filters = filter_row(("24h", "7d", "30d"), "7d")
view = read_policy_denials(ledger_url(), org_id, filters)
live = read_live(ledger_url(), org_id)
if not view.sums.decisions:
    if filters.narrowed:
        st.info("No call matches these filters; clear one to see more.", icon=":material/filter_alt_off:")
    else:
        nothing_yet(f"No calls in {filters.words}", "Choose a longer range, run `bursar demo`, or make a first check.")
    st.stop()

new = [reason for reason in view.reasons if reason.new]
closed = sum(reason.denied for reason in view.reasons if reason.fail_closed)
number_row(
    [
        Number(
            "Denied by policies",
            count(view.denied),
            f"{percent(view.denied / view.sums.decisions)} of {plural(view.sums.decisions, 'call')}",
        ),
        Number(
            "New reasons",
            count(len(new)),
            ", ".join(reason_label(reason.reason) for reason in new) or "all known before",
            "Reasons of denial, of policies and others, that no call had in the 30 days before.",
        ),
        Number(
            "Failed closed",
            count(closed),
            "look at these first" if closed else "all were decided",
            "Denied because nobody could say whether the call may happen: a policy failed, or the gate was away.",
            "red" if closed else "green",
        ),
        Number(
            "Evaluation p95",
            NOTHING if view.prepare_p95_us is None else f"{view.prepare_p95_us / 1000:,.2f} ms",
            f"{plural(view.timed, 'call')} timed",
            "Time before the gate is asked: policies, estimate, budgets and limits that apply. "
            "Of the whole organization.",
        ),
    ]
)

left, right = st.columns(2)
with left:
    chart_card(
        denials_by_policy(view.over_time, view.window, filters.words, colours()),
        "by_policy",
        f"Denials per {view.window.grain} (UTC). The fainter bar is not over. A call that two deny counts at both.",
    )
with right:
    chart_card(policy_by_agent(view.matrix, filters.words, colours()), "matrix", "Policies that said no, by agent.")

st.subheader("Policies", anchor=False)


def show_all() -> None:
    """Forget which policy the link is about."""
    st.query_params.pop("policy", None)


asked = st.query_params.get("policy")
wanted = as_name(asked) if asked else None
findings = read_findings(ledger_url(), org_id)
rows = policy_rows(None if live is None else live.document, view.effects, findings)
if wanted:
    rows = [row for row in rows if row["Policy"] == wanted]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f":material/filter_alt: Only {plain(wanted)}")
        st.button("Show all policies", key="show_all", on_click=show_all)
if not rows:
    st.info("No policy of that name applied here, and the document has none.", icon=":material/filter_alt_off:")
else:
    st.caption("Those that denied most first; the hours are UTC. Choose a row to see the calls it denied, or allowed.")
    chosen = st.dataframe(
        rows[:200],
        hide_index=True,
        key="policies",
        on_select="rerun",
        selection_mode="single-row",
        alt="Policies, those that denied most first",
        column_config={
            "Policy": st.column_config.TextColumn(pinned=True),
            "Lint": st.column_config.TextColumn(width="large"),
        },
    ).selection.rows
    download(rows, "policies")
    if chosen:
        link = link_of(rows[chosen[0]], filters, view.window.start)
        st.switch_page("app_pages/decisions.py", query_params={"org": org_id, **link})
others = [finding for finding in findings if finding.policy_id is None]
if others:
    with st.expander(f"{plural(len(others), 'finding')} about the document as a whole"):
        for finding in others[:50]:
            st.markdown(f"- {plain(finding.message)}")
if view.shadow:
    shadow = sum(cell.decisions for cell in view.shadow)
    with st.expander(f"What shadow policies would deny: {plural(shadow, 'call')}"):
        lines = [
            {"Policy": cell.policy_id, "Agent": cell.agent_id, "Would deny": cell.decisions,
             "Last seen (UTC)": f"{cell.last_seen:%d %b %H:00}"}
            for cell in view.shadow
        ]  # fmt: skip
        st.dataframe(lines, hide_index=True, key="shadow", alt="What shadow policies would have denied")
        download(lines, "shadow_denials")

st.subheader("Explain one call", anchor=False)
if live is None:
    st.info("There is no governance document yet: `bursar apply` makes one.", icon=":material/description:")
else:
    st.caption(f"By version {live.version} of the document, now. Nothing is recorded.")
    explain_one(live, view.now)
