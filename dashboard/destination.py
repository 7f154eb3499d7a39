"""Where to go after signing in: only to an address of these pages, whatever a link says."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

LONGEST_DESTINATION = 2000
HOME = "/"
FAILED = ("sign_in", "failed")
"""What the address of a page says after signing in did not work."""

# One step and no more: what belongs to signing in itself, and to the server, has an address of another shape.
_PAGE = re.compile(r"/[a-z][a-z0-9_-]{0,63}")
_NOT_PAGES = {"/sign-in", "/oauth2callback"}
_QUERY = re.compile(r"[!-~]*")


def safe_destination(wanted: str | None) -> str:
    """A page of this server with its query, as asked for; the first page when it is anything else.

    The query is taken apart and written anew, and the path is a single plain word: there is no way to another
    host, to another scheme or into another header.
    """
    if not wanted or len(wanted) > LONGEST_DESTINATION:
        return HOME
    path, mark, query = wanted.partition("?")
    if path != HOME and (_PAGE.fullmatch(path) is None or path in _NOT_PAGES):
        return HOME
    if not mark or _QUERY.fullmatch(query) is None:
        return path
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=50)
    except ValueError:
        return path
    kept = [pair for pair in pairs if pair != FAILED]
    return f"{path}?{urlencode(kept)}" if kept else path


def after_failure(destination: str) -> str:
    """The same page, told that signing in did not work."""
    return f"{destination}{'&' if '?' in destination else '?'}{urlencode([FAILED])}"


def destination_of(url: str | None, query: list[tuple[str, str]]) -> str:
    """The page that a browser shows at this address, to come back to."""
    path = urlsplit(url or "").path or HOME
    return safe_destination(f"{path}?{urlencode(query)}" if query else path)
