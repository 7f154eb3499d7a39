"""Silences: those that run, those to come, those that are over, and a new one by matchers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import streamlit as st

from dashboard.access import Viewer
from dashboard.acting import action
from dashboard.frame import organization
from dashboard.parts.alerts_acting import LENGTHS, end_silence_button, hides_words, length_field, silenced
from dashboard.reading.alerts import SilencesView, SilenceView, has_document, read_scopes
from dashboard.reading.base import ledger_url
from dashboard.wording import clock_time, plain
from engine.alerting.quieting import Matcher
from engine.alerting.rule_tests.matchers import KNOWN_LABELS, read_matcher, shown_matcher
from engine.alerting.silencing import Scope
from engine.errors import InvalidValue

MOST_SHOWN = 50
TITLES = 5
STARTS = {
    "now": timedelta(0),
    "in 1 h": timedelta(hours=1),
    "in 8 h": timedelta(hours=8),
    "in 1 day": timedelta(days=1),
}


def show_silences(view: SilencesView, now: datetime) -> None:
    """All of them, and a form for a new one."""
    _new()
    for title, silences, key in (("Running", view.running, "running"), ("To come", view.to_come, "to_come")):
        st.subheader(f"{title} ({len(silences)})", anchor=False)
        if not silences:
            st.caption("None.")
        for each in silences[:MOST_SHOWN]:
            _silence(each, now, key)
        _rest(silences)
    st.subheader(f"Over ({len(view.over)})", anchor=False)
    if view.over:
        st.dataframe(
            [
                {
                    "Hid": words(each),
                    "From (UTC)": clock_time(each.silence.start, now),
                    "To (UTC)": clock_time(each.silence.end, now),
                    "Author": each.silence.author,
                    "Reason": each.silence.reason,
                }
                for each in view.over[:MOST_SHOWN]
            ],
            hide_index=True, key="silences_over", alt="Silences that are over, newest first",
        )  # fmt: skip
        _rest(view.over)
    else:
        st.caption("None.")


def words(view: SilenceView) -> str:
    """Its matchers: `agent=coder severity!=critical`."""
    return " ".join(shown_matcher(matcher) for matcher in view.silence.matchers)


def matchers_of(written: str) -> tuple[Matcher, ...]:
    """The matchers that were typed, parted by spaces. Raises `InvalidValue`."""
    return tuple(read_matcher(each, "Hide alerts where") for each in written.split())


def _silence(view: SilenceView, now: datetime, where: str) -> None:
    silence = view.silence
    with st.container(border=True, horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        hidden = f"{hides_words(view.hides)}{_titles(view.hides)}"
        st.markdown(
            f"**{plain(words(view))}**  \n{plain(silence.reason)}  \n:small[:gray[{plain(silence.author)} · from "
            f"{plain(clock_time(silence.start, now))} until {plain(clock_time(silence.end, now))} · {plain(hidden)}]]",
            width="stretch",
        )
        end_silence_button(silence.silence_id, where)


def _titles(titles: Sequence[str]) -> str:
    if not titles:
        return ""
    more = f" and {len(titles) - TITLES} more" if len(titles) > TITLES else ""
    return f": {'; '.join(titles[:TITLES])}{more}"


def _rest(silences: Sequence[SilenceView]) -> None:
    if len(silences) > MOST_SHOWN:
        st.caption(f"{MOST_SHOWN} of {len(silences)}; `bursar alerts silence list` has all.")


def _new() -> None:
    """What a new silence is about is typed outside its form, so that what it hides is shown before it is made."""
    if not has_document(ledger_url(), organization()):
        return
    written = st.text_input(
        "Hide alerts where", key="matchers", placeholder="team=team-eng severity!=critical",
        help=f"Labels are {', '.join(KNOWN_LABELS)}. All that is written must fit.",
    )  # fmt: skip
    try:
        matchers = matchers_of(written)
    except InvalidValue as refused:
        st.error(plain(f"{refused}."), icon=":material/error:")
        return
    if not matchers:
        return
    (titles,) = read_scopes(ledger_url(), organization(), (Scope(written, matchers),))
    st.caption(plain(f"{hides_words(titles)}{_titles(titles)}"))

    def fields() -> tuple[str, str]:
        start = st.selectbox("From", list(STARTS), key="new_silence_start")
        return start, length_field("new_silence_length")

    def do(viewer: Viewer, because: str, asked: tuple[str, str]) -> str:
        return silenced(viewer, matchers, LENGTHS[asked[1]], because, after=STARTS[asked[0]])

    action(
        "Silence these", key="new_silence", needs="operator", icon=":material/notifications_off:", fields=fields, do=do
    )
