"""The gate's Lua scripts, each put together from its files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

_PARTS: Mapping[str, tuple[str, ...]] = {
    "check": ("common", "ring", "check"),
    "settle": ("common", "settle"),
    "cancel": ("common", "cancel"),
    "fold": ("common", "ring", "fold"),
    "peek": ("common", "ring", "peek"),
    "hold": ("common", "hold"),
    "sweep": ("common", "sweep"),
    "install": ("common", "install"),
}


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text, and the name under which Redis keeps it."""

    source: str
    sha: str


def load_scripts(*, clock: str = "") -> dict[str, Script]:
    """Every script by its name. `clock` is Lua put in after the common part, to replace `now_ms` in tests."""
    folder = resources.files("engine.admission") / "lua"
    texts = {part: (folder / f"{part}.lua").read_text(encoding="utf-8") for parts in _PARTS.values() for part in parts}
    loaded = {}
    for name, (common, *rest) in _PARTS.items():
        source = "\n".join([texts[common], clock, *(texts[part] for part in rest)])
        loaded[name] = Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
    return loaded
