"""Serve the pages: `python -P -m dashboard.serve --port 8501 [--address 127.0.0.1] [--exit-with-stdin]`.

Ends on SIGTERM, on SIGINT and, with `--exit-with-stdin`, when its standard input is closed: held open by the
starting process, it closes even when that process is killed. Exit codes: 0 ended on request, 2 wrong arguments,
3 the port cannot be used.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType

APP = Path(__file__).resolve().with_name("app.py")
PORT_UNUSABLE = 3
GRACE_SECONDS = 3.0
"""How long the server may take to end before it is ended."""

# Flags are stronger than files and variables. Without the usage statistics Streamlit asks nothing and sends nothing.
_FLAGS: dict[str, object] = {
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.runOnSave": False,
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "global.developmentMode": False,
    "global.suppressDeprecationWarnings": True,
    "logger.level": "warning",
    "logger.hideWelcomeMessage": True,
}


def main(arguments: list[str] | None = None) -> int:
    """Serve until asked to end; returns the exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    problem = port_problem(options.address, options.port)
    if problem:
        sys.stderr.write(f"{problem}\n")
        return PORT_UNUSABLE
    if options.exit_with_stdin:
        threading.Thread(target=_end_with_stdin, name="end-with-stdin", daemon=True).start()
    _serve(options.address, options.port)
    return 0


def port_problem(address: str, port: int) -> str | None:
    """Why the server could not listen there, in one sentence; None when it can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the server does: a port whose last connections are only fading away is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"Port {port} on {address} is in use; choose another one."
        return f"The pages cannot listen on {address}, port {port}: {error.strerror or error}."
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dashboard.serve", description="Serve Bursar's pages.")
    parser.add_argument("--port", type=_port, required=True)
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on; this machine only by default")
    parser.add_argument("--exit-with-stdin", action="store_true", help="end when standard input is closed")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {text!r}")
    return int(text)


def _serve(address: str, port: int) -> None:
    from streamlit import config
    from streamlit.web import bootstrap

    # Names this script, so that the theme beside it is found from any working directory.
    config._main_script_path = str(APP)
    # The flag style of the command line: dots as underscores.
    flags = {name.replace(".", "_"): value for name, value in _FLAGS.items()}
    flags |= {"server_address": address, "server_port": port, "browser_serverAddress": address}
    bootstrap.load_config_options(flags)
    # Streamlit takes the signals over once it runs and ends in order. It says so on standard output, where
    # it would stand between the lines of whoever started this.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        bootstrap.run(str(APP), False, [], flags)


def _end(_signal: int, _frame: FrameType | None) -> None:
    # Before Streamlit runs there is nothing to end in order.
    os._exit(0)


def _end_with_stdin() -> None:
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
