"""One call explained: which policies apply, each condition with a tick or a cross, and what would make it allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import streamlit as st

from dashboard.parts.policy_conditions import conditions_text
from dashboard.wording import plain, plural
from engine.document.live import LiveDocument
from engine.document.policy_cases import context_of
from engine.errors import BursarError
from engine.policy.cures import PolicyView, policy_cures
from engine.policy.policy import PolicyEffect
from engine.policy.result import ConditionResult

MOST_POLICIES = 30


def explain_one(live: LiveDocument, now: datetime) -> None:
    """A form for one call, and the answer to it. Nothing is recorded, and no limit is used."""
    with st.form("explain", border=False, enter_to_submit=True):
        row = st.grid(4, min_column_width=170)
        agent = row.selectbox(
            "Agent", list(live.document.agents), key="explain_agent", accept_new_options=True,
            help="A registered agent brings its team, provider, environment and tags with it.",
        )  # fmt: skip
        environment = row.text_input("Environment", placeholder="the agent's own", key="explain_environment")
        country = row.text_input("Country", placeholder="unknown, or such as GB", key="explain_country")
        ip = row.text_input("IP address", placeholder="unknown", key="explain_ip")
        asked = st.form_submit_button("Explain", icon=":material/quiz:")
    if not asked:
        return
    request = {"agent_id": agent or "", "environment": environment, "country": country, "ip": ip}
    try:
        context = context_of(live, {name: value.strip() for name, value in request.items() if value.strip()})
    except BursarError as refused:
        st.warning(plain(f"The call would be refused: {refused}."), icon=":material/block:")
        return
    result = live.policies.evaluate(context, now)
    if result.effect is PolicyEffect.ALLOW:
        st.success(plain(result.reason), title="Policies allow it", icon=":material/check_circle:")
    else:
        st.error(plain(result.reason), title="Policies deny it", icon=":material/block:")
    for cure in policy_cures(PolicyView(live.policies, context, now, result)):
        st.markdown(f":material/healing: To be allowed: {plain(cure)}")
    shown, left_out = first_policies(result.conditions, result.matched_policies)
    policies = live.policies.policies
    effects = {
        policy_id: f"{policies[policy_id].effect.value}{', in shadow' if policies[policy_id].shadow else ''}"
        for policy_id in {condition.policy_id for condition in shown}
    }
    st.markdown(conditions_text(shown, effects) or "No policy is enabled.")
    if left_out:
        st.caption(f"The conditions of the first {MOST_POLICIES} policies; {plural(left_out, 'policy', 'policies')} "
                   "more have theirs in `bursar policies explain`.")  # fmt: skip


def first_policies(conditions: Iterable[ConditionResult], matched: Sequence[str]) -> tuple[list[ConditionResult], int]:
    """The conditions of those that applied, then of the others in order, and how many policies are left out."""
    shown: dict[str, list[ConditionResult]] = {}
    for condition in conditions:
        shown.setdefault(condition.policy_id, []).append(condition)
    first = sorted(shown, key=lambda policy_id: policy_id not in matched)[:MOST_POLICIES]
    return [condition for policy_id in first for condition in shown[policy_id]], len(shown) - len(first)
