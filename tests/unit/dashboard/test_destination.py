"""The way back after signing in leads to a page of this server and nowhere else."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.destination import HOME, LONGEST_DESTINATION, after_failure, destination_of, safe_destination


@pytest.mark.parametrize(
    "link",
    [
        "/",
        "/spend",
        "/rate-limits",
        "/decisions?decision=0192&outcome=denied",
        "/decisions?agent=a%2Fb%26c&outcome=",
        "/alerts?org=acme&team=team-hr",
    ],
)
def test_a_link_to_a_page_is_followed_as_it_is(link: str) -> None:
    assert safe_destination(link) == link


@pytest.mark.parametrize(
    "link",
    [
        None,
        "",
        "spend",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "\\/evil.example",
        "https:evil.example",
        "https://evil.example/spend",
        "javascript:alert(1)",
        "/%2Fevil.example",
        "/%5Cevil.example",
        "%2F%2Fevil.example",
        "/\t/evil.example",
        "/\n//evil.example",
        "/spend\r\nSet-Cookie: a=b",
        "/spend/../../evil",
        "/.evil",
        "/@evil.example",
        "/spend#//evil.example",
        "/spend;//evil.example",
        "/ſpend",
        "/auth/logout",
        "/sign-in?next=/spend",
        "/oauth2callback?code=1",
        "/_stcore/health",
        "/" + "a" * 65,
        "/spend?" + "a" * LONGEST_DESTINATION,
    ],
)
def test_anything_else_leads_to_the_first_page(link: str | None) -> None:
    assert safe_destination(link) == HOME


@pytest.mark.parametrize("link", ["/spend?a=\r\nb", "/spend?a=\x00", "/spend?novalue", "/spend?" + "a=1&" * 60])
def test_a_query_that_cannot_be_read_is_left_out(link: str) -> None:
    assert safe_destination(link) == "/spend"


@given(st.text(alphabet="/\\:@?#&=.%abe \t\r\n2Ff5Cc-ſ", max_size=60))
def test_no_text_leads_away(link: str) -> None:
    found = safe_destination(link)
    parts = urlsplit(found)
    assert (parts.scheme, parts.netloc) == ("", "")
    assert found.startswith("/")
    assert not found.startswith(("//", "/\\"))
    assert found.isascii()
    assert found.isprintable()
    assert safe_destination(found) == found


def test_a_failure_is_told_once_and_forgotten_on_the_way_back() -> None:
    told = after_failure("/spend?range=7d")
    assert told == "/spend?range=7d&sign_in=failed"
    assert safe_destination(told) == "/spend?range=7d"
    assert after_failure("/") == "/?sign_in=failed"


def test_the_page_in_the_browser_is_what_one_comes_back_to() -> None:
    assert destination_of("http://127.0.0.1:8501/decisions", [("decision", "a b"), ("outcome", "denied")]) == (
        "/decisions?decision=a+b&outcome=denied"
    )
    assert destination_of(None, []) == HOME
