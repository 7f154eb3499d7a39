"""The one filter row of a page: range, organization, team, provider, agent. All of it is in the address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from dashboard.frame import organization, organizations
from dashboard.narrowing import as_name
from dashboard.reading.base import ledger_url, read_names
from dashboard.windows import RANGES, Window, window_of
from engine.ledger.queries.slice import Slice


@dataclass(frozen=True, slots=True)
class Filters:
    """What the viewer looks at; hashable, so that what is read for it can be kept."""

    range_key: str
    team_id: str | None = None
    provider: str | None = None
    agent_id: str | None = None

    @property
    def words(self) -> str:
        """`the last 7 days`."""
        return RANGES[self.range_key][0]

    @property
    def narrowed(self) -> bool:
        """Whether it is about a part of the organization only."""
        return bool(self.team_id or self.provider or self.agent_id)

    def window(self, now: datetime, since: datetime | None = None) -> Window:
        """The buckets of the range."""
        return window_of(self.range_key, now, since)

    def part(self, org_id: str, now: datetime, window: Window | None = None) -> Slice:
        """The calls in the range, or in another window, that the filters leave."""
        chosen = window or self.window(now)
        return Slice(
            org_id, chosen.start, chosen.end,
            team_id=self.team_id, provider=self.provider, agent_id=self.agent_id, now=now,
        )  # fmt: skip


def filter_row(ranges: Sequence[str], default: str, *, parts: bool = True) -> Filters:
    """Show the row and say what was chosen. With `parts` the calls can be narrowed by team, provider and agent."""
    names = read_names(ledger_url(), organization())
    with st.container(horizontal=True, vertical_alignment="top", key="filters"):
        # A range that this page does not have, in a link made for another page, is the usual one here.
        asked = st.query_params.get("range")
        if asked is not None and asked not in ranges:
            del st.query_params["range"]
        st.session_state["range"] = st.query_params.get("range", default)
        chosen = st.segmented_control(
            "Range", list(ranges), required=True, key="range", on_change=put_in_address, args=("range", default),
            width="content",
        )  # fmt: skip
        organization_choice()
        team = choice("Team", "team", names.teams) if parts else None
        provider = choice("Provider", "provider", names.providers) if parts else None
        agent = choice("Agent", "agent", names.agents) if parts else None
    return Filters(chosen or default, team, provider, agent)


def part_row() -> Filters:
    """The row of a page about now: team, provider and agent, without a range."""
    names = read_names(ledger_url(), organization())
    with st.container(horizontal=True, vertical_alignment="top", key="filters"):
        organization_choice()
        return Filters(
            "",
            choice("Team", "team", names.teams),
            choice("Provider", "provider", names.providers),
            choice("Agent", "agent", names.agents),
        )


def organization_choice() -> None:
    """The one filter that every page has, where there is more than one organization."""
    everywhere = organizations()
    if len(everywhere) > 1:
        st.session_state["org"] = organization()
        st.selectbox("Organization", everywhere, key="org", on_change=_change_organization, width=180)


def _change_organization() -> None:
    # Another organization has other teams and agents: what was narrowed to them would show nothing.
    st.query_params.clear()
    put_in_address("org")


def choice(label: str, key: str, names: Sequence[str], *, none: str = "All", width: int = 170) -> str | None:
    """One of the names, or none of them, as the address says."""
    asked = st.query_params.get(key)
    # What no name can be is shown as it is, and matches nothing: leaving it out would show everything instead.
    st.session_state[key] = as_name(asked) if asked else None
    chosen = st.selectbox(
        label, [name for name in names if name], index=None, placeholder=none, key=key, on_change=put_in_address,
        # A link may name one that has not called for long.
        args=(key,), accept_new_options=True, width=width,
    )  # fmt: skip
    return as_name(chosen) if chosen else None


def put_in_address(key: str, usual: str | None = None) -> None:
    """Put what was chosen into the address, from which the widget takes it.

    Not by `bind="query-params"`: Streamlit drops what is bound on one page from every link to another page.
    """
    chosen = st.session_state[key]
    if chosen in (None, usual):
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = chosen
