"""Serve the pages: `python -P -m dashboard.serve --port 8501 [--address 127.0.0.1] [--exit-with-stdin]`.

Without sign-in the pages are for this machine only, and another address is refused.

Ends on SIGTERM, on SIGINT and, with `--exit-with-stdin`, when its standard input is closed: held open by the
starting process, it closes even when that process is killed. Exit codes: 0 ended on request, 2 wrong arguments or
settings, 3 the port cannot be used.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

# Nothing that takes long is imported here: until the first lines of `main` a signal would end in a traceback.
if TYPE_CHECKING:
    from streamlit.runtime.secrets import SecretsValue

    from engine.settings import SignIn

APP = Path(__file__).resolve().with_name("app.py")
ARGUMENTS_UNUSABLE = 2
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
    # A text that stands alone in a script is a comment, not a part of the page.
    "runner.magicEnabled": False,
    "server.enableCORS": True,
    "server.enableXsrfProtection": True,
    # Who is signed in comes from the sign-in alone: from no header, and from no secrets file found somewhere.
    "server.trustedUserHeaders": "{}",
    "secrets.files": [],
}


def main(arguments: list[str] | None = None) -> int:
    """Serve until asked to end; returns the exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    from engine.errors import InvalidValue
    from engine.settings import read_settings

    try:
        settings = read_settings()
        problem = address_problem(options.address, settings.sign_in)
        origin = settings.pages_origin
    except InvalidValue as error:
        sys.stderr.write(f"A setting cannot be used: {error}.\n")
        return ARGUMENTS_UNUSABLE
    if problem:
        sys.stderr.write(f"{problem}\n")
        return ARGUMENTS_UNUSABLE
    problem = port_problem(options.address, options.port)
    if problem:
        sys.stderr.write(f"{problem}\n")
        return PORT_UNUSABLE
    if options.exit_with_stdin:
        threading.Thread(target=_end_with_stdin, name="end-with-stdin", daemon=True).start()
    _load_pages()
    _serve(options.address, options.port, origin, settings.sign_in)
    return 0


def address_problem(address: str, sign_in: SignIn | None) -> str | None:
    """Why the pages must not listen there, in one sentence; None when they may."""
    from engine.settings import is_this_machine

    if sign_in is not None or is_this_machine(address):
        return None
    return (
        f"Without sign-in the pages listen on this machine only, not on {address}: set BURSAR_OIDC_ISSUER, "
        "BURSAR_OIDC_CLIENT_ID, BURSAR_OIDC_CLIENT_SECRET and BURSAR_OIDC_COOKIE_SECRET, or leave --address out."
    )


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


def _load_pages() -> None:
    """Load what the pages import, so that the first visitor does not wait for it."""
    import pkgutil

    import pandas  # type: ignore[import-untyped]  # noqa: F401 - tables are drawn with it
    import plotly.graph_objects  # type: ignore[import-untyped]  # noqa: F401
    import pyarrow  # type: ignore[import-untyped]  # noqa: F401

    import dashboard

    # What is kept for all viewers is made known to Streamlit then, which warns that it does not run yet.
    logging.disable(logging.WARNING)
    for module in pkgutil.walk_packages(dashboard.__path__, "dashboard."):
        # Pages are scripts: they run when somebody opens them.
        if not module.name.startswith(("dashboard.app", "dashboard.serve")):
            importlib.import_module(module.name)
    logging.disable(logging.NOTSET)


def _serve(address: str, port: int, origin: str, sign_in: SignIn | None) -> None:
    import streamlit
    import uvicorn
    from starlette.middleware import Middleware
    from streamlit import config
    from streamlit.web import bootstrap

    from dashboard.entrance import Entrance

    # Names this script, so that the theme beside it is found from any working directory.
    config._main_script_path = str(APP)
    # The flag style of the command line: dots as underscores.
    flags = {name.replace(".", "_"): value for name, value in _FLAGS.items()}
    flags |= {"server_address": address, "server_port": port, "server_corsAllowedOrigins": [origin]}
    # Streamlit compares origins with this name before it asks the internet for this machine's outer address.
    flags["browser_serverAddress"] = urlsplit(origin).hostname
    if sign_in is not None:
        flags["server_cookieSecret"] = sign_in.cookie_secret.get_secret_value()
    bootstrap.load_config_options(flags)
    app = streamlit.App(
        APP,
        secrets=None if sign_in is None else {"auth": _auth_section(sign_in)},
        middleware=[Middleware(Entrance, origin=origin, signing_in=sign_in is not None)],
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=address,
            port=port,
            ws="websockets-sansio",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )
    # Uvicorn takes the signals over once it runs, ends in order, and hands them on. What Streamlit says on standard
    # output would stand between the lines of whoever started this.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        server.run()


def _auth_section(sign_in: SignIn) -> dict[str, SecretsValue]:
    """What Streamlit wants to know, handed over in memory. Without `expose_tokens` no page sees a token."""
    return {
        "redirect_uri": sign_in.redirect_uri,
        "cookie_secret": sign_in.cookie_secret.get_secret_value(),
        "client_id": sign_in.client_id,
        "client_secret": sign_in.client_secret.get_secret_value(),
        "server_metadata_url": sign_in.metadata_url,
    }


def _end(_signal: int, _frame: FrameType | None) -> None:
    # Before the server runs there is nothing to end in order, and after it nothing is left to do.
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
