"""Colours, told apart by colour-blind readers, in a light and a dark version."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Appearance = Literal["light", "dark"]

# Known providers come first and in this order, so that the common ones never share a colour.
_KNOWN = ("copilot_studio", "azure_openai", "third_party_agent", "custom_rest_api", "anthropic")


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one appearance."""

    series: tuple[str, ...]
    spent: str
    held: str
    other: str
    text: str
    muted: str
    grid: str
    over_limit: str
    heat: tuple[str, str, str]
    """From half full to nearly full, and full: heat maps of use."""

    @property
    def groups(self) -> dict[str, str]:
        """The colour of each group of reasons."""
        return {
            "allowed": self.other,
            "policy": self.series[4],
            "budget": self.series[2],
            "rate_limit": self.series[3],
            "unavailable": self.over_limit,
        }

    def of_names(self, names: Iterable[str]) -> dict[str, str]:
        """Give each name its colour: the same every time, another one only where two names want the same."""
        chosen: dict[str, str] = {}
        for name in sorted(set(names), key=lambda name: (name not in _KNOWN, name)):
            free = [colour for colour in self.series if colour not in chosen.values()] or list(self.series)
            wanted = self.series[_slot(name) % len(self.series)]
            chosen[name] = wanted if wanted in free else free[_slot(name) % len(free)]
        return chosen


def _slot(name: str) -> int:
    return _KNOWN.index(name) if name in _KNOWN else zlib.crc32(name.encode())


_PALETTES: dict[Appearance, Palette] = {
    "light": Palette(
        series=("#173F8A", "#00958A", "#C77700", "#6F8FEA", "#7A1745"),
        spent="#173F8A",
        held="#9DB1DC",
        other="#AEB7C6",
        text="#1B2433",
        muted="#5C6779",
        grid="#E6EBF4",
        over_limit="#C62828",
        heat=("#E3EAF8", "#173F8A", "#C62828"),
    ),
    "dark": Palette(
        series=("#4F7BE8", "#1FB5A7", "#E39A2D", "#A9BDF7", "#C4588A"),
        spent="#6F8FEA",
        held="#3B4F85",
        other="#5D6A80",
        text="#E6EAF2",
        muted="#9AA6BA",
        grid="#273142",
        over_limit="#F0625F",
        heat=("#1E2A45", "#6F8FEA", "#F0625F"),
    ),
}


def palette_for(appearance: str | None) -> Palette:
    """The colours of an appearance; light when it is not known."""
    return _PALETTES["dark" if appearance == "dark" else "light"]
