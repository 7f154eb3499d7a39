"""What stands before the pages: who may ask, safe cookies, and the way back."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboard.entrance import Entrance

HOME = "http://127.0.0.1:8501"
OUTSIDE = "https://bursar.example.com"


async def _page(_request: Request) -> Response:
    answer = PlainTextResponse("the pages")
    answer.set_cookie("_streamlit_xsrf", "x")
    return answer


async def _callback(request: Request) -> Response:
    answer = RedirectResponse("/", 302)
    if request.query_params.get("code") == "good":
        answer.set_cookie("_streamlit_user", "signed", httponly=True)
    else:
        answer.delete_cookie("_streamlit_user")
    return answer


def ask(
    path: str = "/", *, origin: str = HOME, signing_in: bool = False, method: str = "GET", **headers: str
) -> httpx.Response:
    """What one request is answered, with pages that are found at this origin behind the entrance."""
    inner = Starlette(
        routes=[Route("/oauth2callback", _callback), Route("/{rest:path}", _page, methods=["GET", "PUT"])]
    )
    transport = httpx.ASGITransport(Entrance(inner, origin=origin, signing_in=signing_in))

    async def request() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url=origin) as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(request())


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost", "LOCALHOST:1", "[::1]:8501", "127.9.9.9"])
def test_pages_without_sign_in_answer_to_names_of_their_machine(host: str) -> None:
    assert ask(host=host).text == "the pages"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.1", "[", "", "127.1:x@evil"]
)
def test_pages_without_sign_in_answer_to_no_other_name(host: str) -> None:
    answer = ask(host=host)
    assert answer.status_code == 403
    assert "the pages" not in answer.text


def test_pages_without_sign_in_answer_to_the_host_they_are_said_to_be_at() -> None:
    assert ask(origin=OUTSIDE, host="bursar.example.com").text == "the pages"


def test_pages_with_sign_in_answer_to_any_name_because_the_cookie_does_not() -> None:
    assert ask(origin=OUTSIDE, signing_in=True, host="10.0.0.7:8501").text == "the pages"


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:8501", 200), ("http://127.0.0.1:3000", 403), ("https://evil.example", 403), ("null", 403)],
)
def test_another_website_changes_nothing(origin: str, status: int) -> None:
    assert ask(method="PUT", origin=HOME, Origin=origin).status_code == status


def test_cookies_are_secure_where_the_pages_are_found_by_https() -> None:
    assert "Secure" in ask(origin=OUTSIDE, signing_in=True).headers["set-cookie"]
    assert "Secure" not in ask().headers["set-cookie"]
    asked = ask("/sign-in?next=/spend", origin=OUTSIDE, signing_in=True)
    assert all(part in asked.headers["set-cookie"] for part in ("HttpOnly", "SameSite=lax", "Max-Age=600", "Secure"))


def test_no_other_site_frames_a_page_or_learns_its_address() -> None:
    headers = ask().headers
    assert headers["content-security-policy"] == "frame-ancestors 'self'"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("query", "cookie", "location"),
    [
        ("?code=good", "/decisions%3Foutcome%3Ddenied", "/decisions?outcome=denied"),
        ("?code=good", "//evil.example", "/"),
        ("?code=good", "%2F%2Fevil.example", "/"),
        ("?code=good", "https:evil.example", "/"),
        ("?code=good", "%5C%5Cevil.example", "/"),
        ("?code=good", "/spend%0d%0aSet-Cookie:%20a=b", "/"),
        ("?code=good", "", "/"),
        ("?code=bad", "/decisions%3Foutcome%3Ddenied", "/decisions?outcome=denied&sign_in=failed"),
        ("?error=access_denied", "", "/?sign_in=failed"),
        ("", "/decisions", "/"),
    ],
)
def test_after_signing_in_a_person_is_led_to_a_page_of_this_server(query: str, cookie: str, location: str) -> None:
    answer = ask(f"/oauth2callback{query}", signing_in=True, cookie=f"bursar_wanted={cookie}")
    assert (answer.status_code, answer.headers["location"]) == (302, location)


def test_where_to_go_is_forgotten_once_a_person_is_there() -> None:
    arrived = ask("/oauth2callback?code=good", signing_in=True, cookie="bursar_wanted=/spend")
    assert 'bursar_wanted=""' in arrived.headers["set-cookie"]
    failed = ask("/oauth2callback?code=bad", signing_in=True, cookie="bursar_wanted=/spend")
    assert "bursar_wanted" not in failed.headers["set-cookie"]


def test_without_sign_in_there_is_nothing_to_sign_in_to() -> None:
    assert ask("/sign-in?next=/spend").text == "the pages"


@pytest.mark.parametrize("query", ["", "?next=%ff", "?" + "next=/spend&" * 2000, "?next=//evil.example&next=/spend"])
def test_any_question_to_sign_in_is_answered(query: str) -> None:
    answer = ask(f"/sign-in{query}", signing_in=True)
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (302, "/auth/login")
