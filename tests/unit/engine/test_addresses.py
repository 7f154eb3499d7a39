"""Texts with web addresses in them are shown without what may be secret."""

from __future__ import annotations

import pytest

from engine.addresses import without_paths


@pytest.mark.parametrize(
    "address",
    [
        "https://h.example/canary", "https://h.example?token=canary", "HTTPS://h.example:8443/canary?a=b#c",
        "https://h.example#canary", "https://h.example/it's-canary", r"https:\/\/h.example\/canary",
        "http://[::1]/canary", "https://h.example/%63/canary;x=1,2",
    ],
)  # fmt: skip
@pytest.mark.parametrize("around", ["{}", "'{}'", '{{"webhook": "{}", "b": 1}}', "- {} # a note", "a -> {} and b"])
def test_of_a_web_address_only_the_host_stays(address: str, around: str) -> None:
    shown = without_paths(around.format(address))
    assert "canary" not in shown
    assert "h.example" in shown or "[::1]" in shown


@pytest.mark.parametrize("text", ["https://h.example", "a: https://h.example\nb: 1/2", "10.0.0.0/8", "docs/a?b#c", ""])
def test_what_has_no_path_stays_as_it_is(text: str) -> None:
    assert without_paths(text) == text
