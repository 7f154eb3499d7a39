"""Choose the port of the pages."""

from __future__ import annotations

from dashboard.serve import port_problem
from engine.errors import BursarError

ADDRESS = "127.0.0.1"
FIRST_PORT = 8501
PORTS_TRIED = 100


def choose_port(wanted: int | None) -> int:
    """`wanted` or an error; without a wish, the first free port from 8501 on."""
    if wanted is not None:
        problem = port_problem(ADDRESS, wanted)
        if problem:
            raise BursarError(f"--port: {problem[0].lower()}{problem[1:].rstrip('.')}")
        return wanted
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        if port_problem(ADDRESS, port) is None:
            return port
    raise BursarError(f"--port: none of {FIRST_PORT} to {FIRST_PORT + PORTS_TRIED - 1} is free; name another one")
