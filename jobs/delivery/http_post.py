"""One HTTP POST whose failures are told apart by whether the request was sent completely.

No proxy is taken from the environment, no redirect is followed (it would carry a token or a signed body elsewhere),
nothing is tried twice.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from jobs.delivery.channel import DeliveryFailed, FailureKind

LARGEST_ANSWER = 1_000_000
_OWN_MACHINE = ("localhost", "127.0.0.1", "::1")
_GRACE_SECONDS = 1.0
"""A silent server runs into the socket's own timeout first; this ends one that drips."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Transport:
    """How to reach out: `proxy` passes `is_proxy` or is None, `tls` is None for the system's trusted authorities.

    `timeout_seconds` bounds all of a request, from connecting (whatever the number of addresses) to the end of the
    answer. Looking the name up is not in it: the system's resolver has its own limits.
    """

    timeout_seconds: float = 10.0
    proxy: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], *, whose: str) -> Answer:
        """Send `body`. `whose` names the far end in the words of a `DeliveryFailed`.

        Before the request was sent completely the far end did nothing: TRANSIENT. Afterwards: UNKNOWN.
        """
        address = urlsplit(url)
        connection = self._connection(address)
        try:
            with cut_after(self.timeout_seconds, lambda: connection.sock) as cut:
                try:
                    connection.connect()
                    connection.request("POST", _path(address), body, dict(headers))
                except (OSError, http.client.HTTPException) as error:
                    raise DeliveryFailed(f"{whose} cannot be reached: {in_words(error)}") from None
                try:
                    response = connection.getresponse()
                    content = response.read(LARGEST_ANSWER)
                except (OSError, http.client.HTTPException) as error:
                    reason = f"{whose} did not answer: {in_words(error)}"
                    raise DeliveryFailed(reason, FailureKind.UNKNOWN) from None
            if cut.is_set():
                # Headers that end with the connection pass for whole ones.
                raise DeliveryFailed(f"{whose} did not answer: TimeoutError", FailureKind.UNKNOWN)
            named = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, named, content)
        finally:
            connection.close()

    def _connection(self, address: SplitResult) -> http.client.HTTPConnection:
        host, port = address.hostname or "", address.port
        secure = address.scheme == "https"
        if self.proxy is None:
            return self._to(host, port, secure)
        proxy = urlsplit(self.proxy)
        connection = self._to(proxy.hostname or "", proxy.port, secure)
        connection.set_tunnel(host, port or (443 if secure else 80), _proxy_login(proxy))
        return connection

    def _to(self, host: str, port: int | None, secure: bool) -> http.client.HTTPConnection:
        if secure:
            context = self.tls or ssl.create_default_context()
            return _HttpsConnection(host, port, timeout=self.timeout_seconds, context=context)
        return _HttpConnection(host, port, timeout=self.timeout_seconds)


class _HttpConnection(http.client.HTTPConnection):
    """Its socket is there to be cut while it still talks to a proxy."""

    def __init__(self, host: str, port: int | None, *, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        # The library's own takes the whole timeout for each of a name's addresses.
        self._create_connection = connect_within


class _HttpsConnection(_HttpConnection):
    """The same over TLS, also during the handshake."""

    default_port = http.client.HTTPS_PORT

    def __init__(self, host: str, port: int | None, *, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=timeout)
        self._context = context

    def connect(self) -> None:
        super().connect()
        # The host behind the proxy, where there is one.
        name = getattr(self, "_tunnel_host", None) or self.host
        self.sock = self._context.wrap_socket(self.sock, server_hostname=name, do_handshake_on_connect=False)
        self.sock.do_handshake()


def connect_within(address: tuple[str, int], seconds: float, *_: object) -> socket.socket:
    """Connect to the first of a name's addresses that answers, all within `seconds`. Raises OSError."""
    deadline = time.monotonic() + seconds
    last: OSError = TimeoutError()
    for family, kind, protocol, _name, place in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(left)
            connection.connect(place)
        except OSError as error:
            connection.close()
            last = error
        else:
            connection.settimeout(seconds)
            return connection
    raise last


@contextlib.contextmanager
def cut_after(seconds: float, current: Callable[[], socket.socket | None]) -> Iterator[threading.Event]:
    """Break the connection when the block takes longer, and set the event: a socket's timeout bounds each wait only."""
    happened = threading.Event()

    def cut() -> None:
        happened.set()
        connection = current()
        if connection is not None:
            with contextlib.suppress(OSError):
                # Below TLS: an orderly end of TLS would wait for the far end.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = threading.Timer(seconds + _GRACE_SECONDS, cut)
    timer.daemon = True
    timer.start()
    try:
        yield happened
    finally:
        timer.cancel()


def in_words(error: object) -> str:
    """The kind of error and, for the system's own, its standard words; never what was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{type(error).__name__} ({error.verify_message})"
    words = error.strerror if isinstance(error, OSError) and isinstance(error.errno, int) else None
    return f"{type(error).__name__} ({words})" if words else type(error).__name__


def problem_of(url: str) -> str | None:
    """Why nothing is posted to `url`; None when it is fine. Without encryption only this machine is asked."""
    try:
        address = urlsplit(url)
        host, _ = address.hostname, address.port
    except ValueError:
        return "the address is malformed"
    if address.scheme not in {"http", "https"} or not host or not url.isascii() or not url.isprintable() or " " in url:
        return "the address is not an http or https URL"
    if address.username is not None or address.password is not None:
        return "the address must not hold a user name or password"
    if address.scheme == "http" and host not in _OWN_MACHINE:
        return "the address is not https"
    return None


def is_proxy(url: str) -> bool:
    """Whether `url` names a proxy that we can talk to. What passes through it is encrypted, the way to it is not."""
    try:
        address = urlsplit(url)
        return address.scheme == "http" and bool(address.hostname) and address.port is not None
    except ValueError:
        return False


def _path(address: SplitResult) -> str:
    return (address.path or "/") + (f"?{address.query}" if address.query else "")


def _proxy_login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"}
