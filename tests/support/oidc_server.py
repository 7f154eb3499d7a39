"""An OpenID Connect provider on 127.0.0.1: real HTTP, signed tokens, and answers that are wrong on request.

It signs in whoever ``account`` says, without asking. ``telling`` changes what the next ID tokens say.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.support.serving_thread import ServingThread

CLIENT_ID = "bursar-pages"
CLIENT_SECRET = "a-secret-of-the-client"
METADATA = "/.well-known/openid-configuration"

Signature = Literal["its own", "another key", "none", "the client's secret"]


@dataclass(frozen=True)
class Telling:
    """What ID tokens say besides or instead of what is right, and how they are signed."""

    claims: Mapping[str, Any] = field(default_factory=dict)
    signature: Signature = "its own"


@dataclass(frozen=True)
class _Code:
    """A sign-in that waits to be fetched with its code."""

    redirect_uri: str
    nonce: str | None
    challenge: str
    account: Mapping[str, Any]


class OidcServer(ServingThread):
    """Use as a context manager."""

    def __init__(self) -> None:
        self.account: Mapping[str, Any] | None = None
        """The claims of whoever signs in; None to refuse the sign-in."""
        self.telling = Telling()
        self.signed_out: list[dict[str, str]] = []
        """The requests for signing out."""
        self._key = RSAKey.generate_key(2048, {"kid": "key-1", "use": "sig", "alg": "RS256"})
        self._other_key = RSAKey.generate_key(2048, {"kid": "key-1", "use": "sig", "alg": "RS256"})
        self._codes: dict[str, _Code] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._serve(self._http, 0.02, name="oidc-server", daemon=True)

    @property
    def issuer(self) -> str:
        """What tokens name as their origin."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def get(self, path: str, query: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON of an answer."""
        if path == METADATA:
            return 200, {}, self._metadata()
        if path == "/keys":
            return 200, {}, {"keys": [self._key.as_dict(private=False)]}
        if path == "/authorize":
            return 302, {"Location": self._authorize(query)}, None
        if path == "/sign-out":
            self.signed_out.append(query)
            return 302, {"Location": query["post_logout_redirect_uri"]}, None
        return 404, {}, None

    def token(self, form: dict[str, str], authorization: str | None) -> tuple[int, dict[str, str], Any]:
        """The tokens for a code; each code and its PKCE verifier are good once."""
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        code = self._codes.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "").encode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).decode().rstrip("=")
        if authorization != f"Basic {basic}":
            return 401, {}, {"error": "invalid_client"}
        if code is None or code.redirect_uri != form.get("redirect_uri") or code.challenge != challenge:
            return 400, {}, {"error": "invalid_grant"}
        return 200, {}, {"access_token": "opaque", "token_type": "Bearer", "id_token": self._id_token(code)}

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/sign-out",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def _authorize(self, query: dict[str, str]) -> str:
        assert query["client_id"] == CLIENT_ID
        answer = {"state": query["state"]}
        if self.account is None:
            answer["error"] = "access_denied"
        else:
            answer["code"] = secrets.token_urlsafe()
            self._codes[answer["code"]] = _Code(
                query["redirect_uri"], query.get("nonce"), query["code_challenge"], self.account
            )
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def _id_token(self, code: _Code) -> str:
        now = int(time.time())
        right = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": code.nonce}
        claims = right | dict(code.account) | dict(self.telling.claims)
        match self.telling.signature:
            case "its own":
                return jwt.encode({"alg": "RS256", "kid": "key-1"}, claims, self._key)
            case "another key":
                return jwt.encode({"alg": "RS256", "kid": "key-1"}, claims, self._other_key)
            case "none":
                return f"{_encoded({'alg': 'none'})}.{_encoded(claims)}."
            case "the client's secret":
                return _signed_by_hand(claims)


def _signed_by_hand(claims: dict[str, Any]) -> str:
    text = f"{_encoded({'alg': 'HS256'})}.{_encoded(claims)}"
    digest = hmac.digest(CLIENT_SECRET.encode(), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def _handler(server: OidcServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            self._answer(*server.get(address.path, _single(address.query)))

        def do_POST(self) -> None:
            form = _single(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._answer(*server.token(form, self.headers["Authorization"]))

        def _answer(self, status: int, headers: dict[str, str], content: Any) -> None:
            body = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
            pass

    return Handler


def _single(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}
