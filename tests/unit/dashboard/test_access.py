"""Who may see and do what: asked of a real ledger in a real session of Streamlit, every time anew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.access import ROLES, Viewer, may
from dashboard.roles import LONGEST_SIGN_IN
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.settings import read_settings
from tests.support.ledger_rows import seed_empty_organization


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """An empty ledger, which the pages find in the environment."""
    monkeypatch.setenv("BURSAR_DATABASE_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    database = Database(read_settings().ledger_url)
    seed_empty_organization(database, now=datetime.now(UTC))
    yield database
    database.close()
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign-in is configured; no provider is asked here."""
    monkeypatch.setenv("BURSAR_OIDC_ISSUER", "https://login.example.com")
    monkeypatch.setenv("BURSAR_OIDC_CLIENT_ID", "bursar")
    monkeypatch.setenv("BURSAR_OIDC_CLIENT_SECRET", "a-secret")
    monkeypatch.setenv("BURSAR_OIDC_COOKIE_SECRET", "c" * 32)


def grant(database: Database, org_id: str, roles: dict[str, str]) -> None:
    """Publish a document that gives these roles."""
    document = parse_document({"organization": org_id, "access": {"roles": roles}}, "test")
    publish_document(database, document, author="test", reason="test")


def session(**claims: Any) -> AppTest:
    """A session of whoever has these claims, which asks for everything there is to ask, each time it runs."""

    def page() -> None:
        import streamlit as st

        from dashboard.access import NotPermitted, current_viewer, open_to_viewer, require

        st.session_state["viewer"] = current_viewer("acme")
        st.session_state["open"] = open_to_viewer(["acme", "umbrella"])
        if st.button("Raise a budget"):
            try:
                st.session_state["done_by"] = require("acme", "operator").name
            except NotPermitted as refused:
                st.error(str(refused))

    app = AppTest.from_function(page, default_timeout=30)
    if claims:
        app.user = {"is_logged_in": True, "sub": "1", "aud": "bursar", "iat": time.time()} | claims
    return app.run()


def seen_by(app: AppTest) -> tuple[Viewer, list[str]]:
    """The viewer in acme, and the organizations that are open."""
    assert not app.exception
    return app.session_state["viewer"], app.session_state["open"]


def test_each_role_may_do_what_those_before_it_may() -> None:
    table = [[may(Viewer("ann", held), needed) for needed in ROLES] for held in (None, *ROLES)]
    assert table == [
        [False, False, False, False],
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]


def test_without_sign_in_the_systems_user_has_the_role_of_the_settings(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", "ann")
    monkeypatch.setenv("LOGNAME", "ann")
    assert seen_by(session()) == (Viewer("ann", "admin"), ["acme", "umbrella"])
    monkeypatch.setenv("BURSAR_LOCAL_ROLE", "viewer")
    # Claims count for nothing while no sign-in is configured.
    assert seen_by(session(roles="admin", email="kim@example.com"))[0] == Viewer("ann", "viewer")


@pytest.mark.usefixtures("sign_in")
def test_nobody_sees_anything_before_signing_in(database: Database) -> None:
    grant(database, "acme", {"ann@example.com": "admin"})
    assert seen_by(session()) == (Viewer("nobody", None), [])
    assert seen_by(session(is_logged_in=False, email="ann@example.com", roles="admin"))[1] == []
    assert seen_by(session(aud="another client", email="ann@example.com", roles="admin"))[1] == []
    long_ago = time.time() - LONGEST_SIGN_IN.total_seconds() - 60
    assert seen_by(session(iat=long_ago, email="ann@example.com", roles="admin"))[1] == []


@pytest.mark.usefixtures("sign_in")
def test_a_role_of_the_token_counts_everywhere_and_one_of_a_document_in_its_organization(database: Database) -> None:
    grant(database, "acme", {"Ann@Example.com": "operator"})
    ann = session(email="ann@example.com")
    assert seen_by(ann) == (Viewer("ann@example.com", "operator", signed_in=True), ["acme"])
    both = session(email="ann@example.com", roles=["bursar-viewer"])
    assert seen_by(both) == (Viewer("ann@example.com", "operator", signed_in=True), ["acme", "umbrella"])
    unverified = session(email="ann@example.com", email_verified=False)
    assert seen_by(unverified) == (Viewer("1", None, signed_in=True), [])


@pytest.mark.usefixtures("sign_in")
def test_an_action_is_refused_when_the_role_was_taken_away_since_the_page_was_shown(database: Database) -> None:
    grant(database, "acme", {"ann@example.com": "operator"})
    app = session(email="ann@example.com")
    app.button[0].click().run()
    assert app.session_state["done_by"] == "ann@example.com"
    del app.session_state["done_by"]
    grant(database, "acme", {"ann@example.com": "viewer"})
    app.button[0].click().run()
    assert [error.value for error in app.error] == ["this needs the role operator; ann@example.com has viewer"]
    grant(database, "acme", {})
    app.button[0].click().run()
    assert [error.value for error in app.error] == ["this needs the role operator; ann@example.com has none"]
    assert "done_by" not in app.session_state
    assert seen_by(app)[1] == []


@pytest.mark.usefixtures("sign_in")
def test_a_role_given_in_the_document_counts_at_the_next_look(database: Database) -> None:
    app = session(email="ann@example.com")
    assert seen_by(app)[0].role is None
    grant(database, "acme", {"ann@example.com": "engineer"})
    assert seen_by(app.run()) == (Viewer("ann@example.com", "engineer", signed_in=True), ["acme"])


def visit(**claims: Any) -> AppTest:
    """What whoever has these claims finds at the door, with something behind it."""

    def page() -> None:
        import streamlit as st

        from dashboard.access import current_viewer
        from dashboard.signing_in import gate, sidebar

        gate()
        sidebar(current_viewer("acme"))
        st.header("the pages")

    app = AppTest.from_function(page, default_timeout=30)
    app.query_params["outcome"] = "denied"
    if claims:
        app.user = {"is_logged_in": True, "sub": "1", "aud": "bursar", "iat": time.time()} | claims
    app.run()
    assert not app.exception
    return app


def words(app: AppTest) -> str:
    """Everything that is written."""
    parts = (*app.header, *app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.sidebar.caption)
    return "\n".join(part.value for part in parts).replace("\\", "")


def test_without_sign_in_the_sidebar_says_so(database: Database) -> None:
    app = visit()
    assert "the pages" in words(app)
    assert "No sign-in configured: this machine only" in words(app)
    assert not app.button


@pytest.mark.usefixtures("sign_in")
def test_the_door_is_open_to_those_with_a_role_and_says_what_to_do_to_others(database: Database) -> None:
    grant(database, "acme", {"ann@example.com": "viewer"})
    stranger = visit()
    assert "the pages" not in words(stranger)
    assert "/sign-in?next=%2F%3Foutcome%3Ddenied" in words(stranger)
    over = visit(email="ann@example.com", iat=time.time() - LONGEST_SIGN_IN.total_seconds() - 60)
    assert "the pages" not in words(over)
    assert "A sign-in lasts 12 hours, and yours is over" in words(over)
    without = visit(email="kim@example.com")
    assert "the pages" not in words(without)
    assert "kim@example.com is signed in and has no role here. Ask whoever runs Bursar" in words(without)
    ann = visit(email="ann@example.com")
    assert "the pages" in words(ann)
    assert "ann@example.com · role viewer" in words(ann)
    assert [button.label for button in ann.button] == ["Sign out"]


@pytest.mark.usefixtures("sign_in")
def test_settings_that_cannot_be_used_let_nobody_in(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BURSAR_OIDC_CLIENT_SECRET")
    app = visit(email="ann@example.com", roles="admin")
    assert "the pages" not in words(app)
    assert "BURSAR_OIDC_CLIENT_SECRET: is missing" in words(app)
