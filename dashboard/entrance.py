"""What every request passes before Streamlit sees it: who may ask, the way back after signing in, safe cookies.

1. Host and Origin. Pages without sign-in answer only to names of this machine, so that a website cannot reach them
   through a name of its own that points here. No other website may open a session.
2. `/sign-in?next=/decisions?...` notes in a cookie where the visitor wanted to go, and starts the sign-in.
3. `/oauth2callback`, by which the provider sends people back: Streamlit checks the answer and leads to the first
   page; the visitor is led to the noted page instead.
4. Answers: cookies are `Secure` where the pages are found by https, and no other site may frame a page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from streamlit.auth_util import encode_provider_token

from dashboard.destination import HOME, after_failure, safe_destination
from engine.settings import is_this_machine

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

WANTED_COOKIE = "bursar_wanted"
WANTED_SECONDS = 600
"""How long a person may take to sign in and still be led to where they wanted to go."""
SIGN_IN_PATH = "/sign-in"
CALLBACK_PATH = "/oauth2callback"

_USER_COOKIE = b"_streamlit_user="
_READING = {"GET", "HEAD", "OPTIONS"}
_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    # Addresses of pages name agents, users and decisions.
    "Referrer-Policy": "same-origin",
}


class Entrance:
    """ASGI middleware around Streamlit."""

    def __init__(self, app: ASGIApp, *, origin: str, signing_in: bool) -> None:
        self._app = app
        self._origin = origin
        self._signing_in = signing_in
        self._secure = origin.startswith("https://")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse or pass on one request."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await PlainTextResponse(refusal, 403)(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return

        async def send_changed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._change(Request(scope), MutableHeaders(scope=message))
            await send(message)

        own = self._own_answer(scope)
        await (own or self._app)(scope, receive, send_changed)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._signing_in and not self._names_this_machine(host):
            return (
                "These pages have no sign-in and answer only to a name of their own machine: "
                "localhost, or the host of BURSAR_DASHBOARD_URL.\n"
            )
        origin = headers.get("origin")
        opens = scope["type"] == "websocket" or scope["method"] not in _READING
        if opens and origin is not None and origin != self._origin and urlsplit(origin).netloc != host:
            return "These pages take nothing from another website.\n"
        return None

    def _names_this_machine(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return is_this_machine(name) or name == urlsplit(self._origin).hostname

    def _own_answer(self, scope: Scope) -> Response | None:
        if not self._signing_in or scope["method"] != "GET":
            return None
        if scope["path"] == SIGN_IN_PATH:
            return self._sign_in(scope)
        # The provider sends people here after signing out too, with nothing to check.
        if scope["path"] == CALLBACK_PATH and not scope["query_string"]:
            return RedirectResponse(HOME, 302)
        return None

    def _sign_in(self, scope: Scope) -> Response:
        asked = Request(scope).query_params.get("next")
        response = RedirectResponse(f"/auth/login?provider={encode_provider_token('default')}", 302)
        response.set_cookie(
            WANTED_COOKIE,
            quote(safe_destination(asked), safe="/"),
            max_age=WANTED_SECONDS,
            httponly=True,
            samesite="lax",
        )
        return response

    def _change(self, request: Request, headers: MutableHeaders) -> None:
        if self._signing_in and request.url.path == CALLBACK_PATH and request.url.query and "location" in headers:
            self._lead_back(request, headers)
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        if self._secure:
            cookies = headers.getlist("set-cookie")
            del headers["set-cookie"]
            for cookie in cookies:
                headers.append("set-cookie", cookie if "; secure" in cookie.lower() else f"{cookie}; Secure")

    def _lead_back(self, request: HTTPConnection, headers: MutableHeaders) -> None:
        wanted = safe_destination(unquote(request.cookies.get(WANTED_COOKIE, "")))
        if _signs_in(headers):
            headers["location"] = wanted
            done = Response()
            done.delete_cookie(WANTED_COOKIE, httponly=True, samesite="lax")
            headers.append("set-cookie", done.headers["set-cookie"])
        else:
            headers["location"] = after_failure(wanted)


def _signs_in(headers: MutableHeaders) -> bool:
    """Whether an answer sets the cookie of a signed-in account, and does not only delete an old one."""
    return any(
        name == b"set-cookie" and value.startswith(_USER_COOKIE) and not value.startswith(_USER_COOKIE + b'""')
        for name, value in headers.raw
    )
