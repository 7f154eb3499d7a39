"""Signing in through a real provider and a real browser."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from dashboard.run import serve_command, serve_environment, wait_until_ready
from dashboard.serve import ARGUMENTS_UNUSABLE
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from tests.support.canaries import Canaries, Heard
from tests.support.ledger_rows import SeededLedger, seed_ledger
from tests.support.oidc_server import CLIENT_ID, CLIENT_SECRET, OidcServer, Signature, Telling

COOKIE_SECRET = "a-secret-for-the-cookies-of-the-pages"
FIRST_SIGHT_MS = 30_000
"""A fresh server imports its libraries for its first visitor, on a machine that does other things too."""
ANN = {"sub": "1", "email": "ann@example.com", "email_verified": True}
KIM = {"sub": "2", "email": "kim@example.com", "email_verified": True}


@dataclass(frozen=True)
class House:
    """The pages with sign-in, their provider and their ledger."""

    address: str
    provider: OidcServer
    database: Database
    ledger: SeededLedger

    def grant(self, roles: Mapping[str, str]) -> None:
        """Publish a document that gives these roles."""
        document = parse_document({"organization": "acme", "access": {"roles": dict(roles)}}, "test")
        publish_document(self.database, document, author="test", reason="test")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server of the pages for this file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    address = f"http://127.0.0.1:{port}"
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}")
    with OidcServer() as provider:
        environment = serve_environment() | {
            "BURSAR_DATABASE_URL": str(database.url),
            "BURSAR_DASHBOARD_URL": address,
            "BURSAR_OIDC_ISSUER": provider.issuer,
            "BURSAR_OIDC_CLIENT_ID": CLIENT_ID,
            "BURSAR_OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "BURSAR_OIDC_COOKIE_SECRET": COOKIE_SECRET,
        }
        ledger = seed_ledger(database, now=datetime.now(UTC), days=3, per_day=30)
        # 0.0.0.0: with sign-in the pages may be reached from elsewhere.
        command = serve_command(port, "0.0.0.0")
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            assert wait_until_ready(port, 60)
            yield House(address, provider, database, ledger)
        finally:
            process.terminate()
            process.communicate(timeout=10)
            database.close()


@pytest.fixture(autouse=True)
def usual_provider(request: pytest.FixtureRequest) -> None:
    """The provider tells the truth again."""
    if "house" in request.fixturenames:
        request.getfixturevalue("house").provider.telling = Telling()


@pytest.fixture
def client(house: House) -> Iterator[httpx.Client]:
    """A browser without its looks: it keeps cookies, and follows no redirect by itself."""
    with httpx.Client(base_url=house.address, trust_env=False) as client:
        yield client


def sign_in(client: httpx.Client, wanted: str) -> httpx.Response:
    """The answer of the pages to what the provider said."""
    answer = client.get("/sign-in", params={"next": wanted})
    at_provider = client.get(answer.headers["location"])
    return client.get(client.get(at_provider.headers["location"]).headers["location"])


def signed_in(client: httpx.Client) -> bool:
    """Whether the pages gave this client a signed-in session."""
    return "_streamlit_user" in client.cookies


def test_signing_in_gives_a_cookie_that_no_script_reads_and_no_other_site_sends(
    house: House, client: httpx.Client
) -> None:
    house.provider.account = ANN
    answer = sign_in(client, "/spend")
    cookies = [line for line in answer.headers.get_list("set-cookie") if line.startswith("_streamlit_user")]
    assert cookies
    assert all("HttpOnly" in line and "SameSite=lax" in line for line in cookies)
    assert answer.headers["location"] == "/spend"


NOW = int(time.time())


@pytest.mark.parametrize(
    ("claims", "signature"),
    [
        ({}, "another key"),
        ({}, "none"),
        ({}, "the client's secret"),
        ({"exp": NOW - 3600, "iat": NOW - 7200}, "its own"),
        ({"aud": "another client"}, "its own"),
        ({"iss": "https://evil.example"}, "its own"),
        ({"nonce": "of another sign-in"}, "its own"),
    ],
    ids=["forged", "unsigned", "wrong algorithm", "expired", "other audience", "other issuer", "replayed"],
)
def test_a_token_that_is_not_right_signs_nobody_in(
    house: House, client: httpx.Client, claims: dict[str, Any], signature: Signature
) -> None:
    house.provider.account = ANN
    house.provider.telling = Telling(claims, signature)
    assert sign_in(client, "/spend?range=7d").headers["location"] == "/spend?range=7d&sign_in=failed"
    assert not signed_in(client)


def test_an_answer_to_a_sign_in_that_another_browser_began_signs_nobody_in(house: House, client: httpx.Client) -> None:
    house.provider.account = KIM
    answer = client.get(client.get("/sign-in").headers["location"])
    callback = client.get(answer.headers["location"]).headers["location"]
    with httpx.Client(base_url=house.address, trust_env=False) as victim:
        assert victim.get(callback).headers["location"] == "/?sign_in=failed"
        assert not signed_in(victim)


@pytest.mark.parametrize("wanted", ["//evil.example", "https:evil.example", "\\\\evil.example", "/%2Fevil.example"])
def test_signing_in_leads_to_no_other_site(house: House, client: httpx.Client, wanted: str) -> None:
    house.provider.account = ANN
    assert sign_in(client, wanted).headers["location"] == "/"
    assert signed_in(client)


def test_another_website_opens_no_session(house: House) -> None:
    stream = f"{house.address.replace('http', 'ws')}/_stcore/stream"
    with connect(stream, origin=Origin(house.address), proxy=None):
        pass
    for origin in ("https://evil.example", "http://127.0.0.1:1", "http://localhost:3000"):
        with pytest.raises(InvalidStatus, match="403"), connect(stream, origin=Origin(origin), proxy=None):
            pass


def test_a_deep_link_survives_signing_in_and_a_role_counts_from_the_next_look_on(house: House, page: Page) -> None:
    house.provider.account = ANN
    house.grant({"ann@example.com": "viewer"})
    row = next(row for row in house.ledger.decisions if row["reason"] == "budget_daily_cost")
    link = f"{house.address}/decisions?decision={row['decision_id']}&outcome=denied"
    heard = Heard()
    heard.listen(page)
    page.goto(link)
    expect(page.get_by_role("link", name="Sign in")).to_be_visible(timeout=FIRST_SIGHT_MS)
    expect(page.get_by_text(row["message"])).to_have_count(0)
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_text(row["message"])).to_be_visible(timeout=FIRST_SIGHT_MS)
    expect(page).to_have_url(link)
    expect(page.get_by_text("ann@example.com · role viewer")).to_be_visible()

    house.grant({"ann@example.com": "operator"})
    page.get_by_role("link", name="Budgets").click()
    expect(page.get_by_text("ann@example.com · role operator")).to_be_visible()

    house.grant({})
    page.get_by_role("link", name="Rate limits").click()
    expect(page.get_by_text("ann@example.com is signed in and has no role here")).to_be_visible()
    expect(page.get_by_text("acme")).to_have_count(0)

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    assert house.provider.signed_out[-1]["post_logout_redirect_uri"] == f"{house.address}/oauth2callback"
    page.goto(link)
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    secrets = Canaries()
    secrets.know("client secret", CLIENT_SECRET)
    secrets.know("cookie secret", COOKIE_SECRET)
    assert b"role operator" in heard.frames
    assert secrets.found_in(heard.frames + heard.sent) == set()


def test_who_gives_up_signing_in_is_told_and_may_try_again(house: House, page: Page) -> None:
    house.provider.account = None
    house.grant({"ann@example.com": "viewer"})
    page.goto(f"{house.address}/decisions?outcome=denied")
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_text("Signing in did not work")).to_be_visible(timeout=FIRST_SIGHT_MS)
    house.provider.account = ANN
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_role("heading", name="Decisions")).to_be_visible(timeout=FIRST_SIGHT_MS)
    expect(page).to_have_url(f"{house.address}/decisions?outcome=denied")


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "pages.example.com"])
def test_without_sign_in_no_other_machine_is_listened_to(address: str) -> None:
    environment = {name: value for name, value in serve_environment().items() if not name.startswith("BURSAR_OIDC_")}
    finished = subprocess.run(
        serve_command(8501, address), env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert finished.returncode == ARGUMENTS_UNUSABLE
    assert finished.stderr == (
        f"Without sign-in the pages listen on this machine only, not on {address}: set BURSAR_OIDC_ISSUER, "
        "BURSAR_OIDC_CLIENT_ID, BURSAR_OIDC_CLIENT_SECRET and BURSAR_OIDC_COOKIE_SECRET, or leave --address out.\n"
    )
