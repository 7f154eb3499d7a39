"""An attempt ends in time whatever the far end does: the sender's lease is longer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from jobs.delivery import smtp_server
from jobs.delivery.channel import DeliveryFailed, FailureKind
from jobs.delivery.http_post import Transport, connect_within
from jobs.delivery.smtp_server import SmtpServer

SOON = 10.0
"""Seconds; without its bound each of these takes 20 or more."""


@contextmanager
def serving(talk: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """A server that talks to the first who comes, until the test is over; its port."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    talk(connection, over)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        over.set()
        thread.join(30)


def drips(line: bytes, *, first: bytes = b"") -> Callable[[socket.socket, threading.Event], None]:
    """Never silent for as long as a timeout, and never done."""

    def talk(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(first)
        for _ in range(50):
            if over.wait(0.4):
                return
            connection.sendall(line)

    return talk


@pytest.fixture
def full() -> Iterator[int]:
    """The port of a server that takes no connection: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
        for each in waiting:
            each.close()


def test_a_name_with_many_addresses_takes_no_longer_than_one_with_one(
    full: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def many(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", full))] * 20

    monkeypatch.setattr(socket, "getaddrinfo", many)
    started = time.monotonic()
    with pytest.raises(DeliveryFailed, match="cannot be reached"):
        Transport(1.0).post(f"http://many.example.com:{full}/", b"{}", {}, whose="it")
    with pytest.raises(DeliveryFailed, match="cannot be reached"):
        SmtpServer("many.example.com", full, implicit_tls=False, timeout_seconds=1).send("a@b.c", ["d@e.f"], b"x")
    assert time.monotonic() - started < SOON


def test_the_next_address_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused, socket.create_server(("127.0.0.1", 0)) as listener:
        unused.bind(("127.0.0.1", 0))
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each.getsockname()) for each in (unused, listener)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with connect_within(("two.example.com", 1), 5) as connection:
            assert connection.getpeername() == listener.getsockname()
        found.pop()
        with pytest.raises(ConnectionRefusedError):
            connect_within(("two.example.com", 1), 5)


def test_a_proxy_that_drips_is_cut_off_before_anything_was_sent() -> None:
    with serving(drips(b"X: y\r\n", first=b"HTTP/1.1 200 OK\r\n")) as port:
        started = time.monotonic()
        with pytest.raises(DeliveryFailed) as raised:
            Transport(1.0, f"http://127.0.0.1:{port}").post("https://example.com/", b"{}", {}, whose="it")
        assert time.monotonic() - started < SOON
    assert (raised.value.kind, raised.value.maybe_delivered) == (FailureKind.TRANSIENT, False)


def test_a_greeting_of_a_mail_server_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_server, "LONGEST_SECONDS", 1)
    with serving(drips(b"220-wait\r\n")) as port:
        started = time.monotonic()
        with pytest.raises(DeliveryFailed) as raised:
            SmtpServer("127.0.0.1", port, implicit_tls=False, timeout_seconds=1).send("a@b.c", ["d@e.f"], b"x")
        assert time.monotonic() - started < SOON
    assert raised.value.kind is FailureKind.TRANSIENT


def test_who_does_not_answer_a_goodbye_has_taken_the_letter_all_the_same() -> None:
    def talk(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"220 hello\r\n")
        in_text = False
        for line in connection.makefile("rb"):
            word = line.strip().upper()
            if in_text:
                in_text = word != b"."
                if in_text:
                    continue
            elif word == b"QUIT":
                over.wait(60)
                return
            elif word == b"DATA":
                in_text = True
                connection.sendall(b"354 go on\r\n")
                continue
            connection.sendall(b"250 well\r\n")

    with serving(talk) as port:
        server = SmtpServer("127.0.0.1", port, implicit_tls=False, allow_unencrypted=True, timeout_seconds=30)
        started = time.monotonic()
        assert server.send("a@b.c", ["d@e.f"], b"x") == {}
        assert time.monotonic() - started < SOON


def test_a_password_of_a_proxy_is_not_in_a_repr() -> None:
    assert "hunter2" not in repr(Transport(10, "http://u:hunter2@proxy:3128"))
