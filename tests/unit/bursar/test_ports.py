from __future__ import annotations

import socket

import pytest

from bursar.demo.ports import ADDRESS, reserved_port
from engine.errors import BursarError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def test_two_demos_that_start_together_get_different_ports() -> None:
    with reserved_port(None) as first, reserved_port(None) as second:
        assert first != second


def test_a_port_given_by_name_is_used_or_refused_but_never_replaced() -> None:
    wanted = free_port()
    with reserved_port(wanted) as port:
        assert port == wanted
        with (
            pytest.raises(BursarError, match=rf"--port: port {wanted} .* is in use by another demo"),
            reserved_port(wanted),
        ):
            pass
    with socket.socket() as taken:
        taken.bind((ADDRESS, wanted))
        taken.listen(1)
        with pytest.raises(BursarError, match=rf"--port: port {wanted} .* is in use"), reserved_port(wanted):
            pass


def test_a_reservation_ends_with_its_demo() -> None:
    wanted = free_port()
    for _ in range(3):
        with reserved_port(wanted) as port:
            assert port == wanted
