"""The text of the shipped runbooks: sections of docs/alerts.md, which a package carries beside this file."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FILE = "docs/alerts.md"
_PLACES = (Path(__file__).parents[2] / FILE, Path(__file__).with_name("runbooks.md"))


def runbook_text(link: str) -> str | None:
    """What to do, in Markdown, for a link such as `docs/alerts.md#policy_deny`; None for one that leads elsewhere."""
    file, _, anchor = link.partition("#")
    return _sections().get(anchor) if file == FILE else None


@cache
def _sections() -> dict[str, str]:
    place = next((place for place in _PLACES if place.is_file()), None)
    if place is None:
        return {}
    text = re.sub(r"<!--.*?-->", "", place.read_text(encoding="utf-8"), flags=re.DOTALL)
    parts = re.split(r"^## (\S+)[ \t]*$", text, flags=re.MULTILINE)
    return {name: _without_links(body.strip()) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def _without_links(text: str) -> str:
    """Links between files of docs/ lead nowhere from a page: their words stay, with the file's name."""
    named = re.sub(r"\[([^\]]+)\]\((\w+\.md)[^)]*\)", r"\1 (`docs/\2`)", text)
    return re.sub(r"\[([^\]]+)\]\(#[^)]*\)", r"\1", named)
