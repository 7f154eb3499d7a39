"""Pages run as Streamlit runs them, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import dashboard
from engine.clock import utc_now

APP = Path(dashboard.__file__).with_name("app.py")


@contextmanager
def pages_of(ledger_url: str) -> Iterator[None]:
    """Pages find this ledger in the environment, and keep nothing of it afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BURSAR_DATABASE_URL", ledger_url)
        yield
    st.cache_data.clear()
    st.cache_resource.clear()


def open_page(name: str, **parameters: str) -> AppTest:
    """The page as a visitor who comes by this address sees it in a fresh session; `name` is that of its script."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    if "_" in name:
        # Before its first run Streamlit knows pages by the names of their scripts; these have another address.
        app.switch_page("app_pages/decisions.py").run()
    app.switch_page(f"app_pages/{name}.py")
    for key, value in parameters.items():
        app.query_params[key] = value
    return app.run()


def open_within_a_minute(name: str) -> tuple[AppTest, datetime]:
    """The page, and the minute by which it counts the last hour; opened again when that passed meanwhile."""
    while True:
        minute = utc_now().replace(second=0, microsecond=0)
        app = open_page(name)
        if utc_now() < minute + timedelta(minutes=1):
            return app, minute


def with_tables(app: AppTest) -> AppTest:
    """The page with the numbers of each of its charts opened."""
    for table in app.expander:
        if table.label == "As a table" and table.key is not None:
            app.session_state[table.key] = True
    return app.run()


def text_of(app: AppTest) -> str:
    """Everything written on the page, without Markdown's backslashes."""
    blocks = (
        *app.title, *app.subheader, *app.caption, *app.markdown, *app.info, *app.warning, *app.error, *app.success,
    )  # fmt: skip
    return "\n".join(str(block.value) for block in blocks).replace("\\", "")
