"""Governance documents to start from, shipped with the program."""

from __future__ import annotations

from importlib.resources import files

EXAMPLES = ("small", "organization")
"""`small` is where a newcomer begins; `organization` shows everything, for forty agents in six teams."""


def example(name: str) -> str:
    """The text of one of `EXAMPLES`, comments included. Raises `KeyError` for another name."""
    if name not in EXAMPLES:
        raise KeyError(name)
    return files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
