import itertools

import pytest

from dashboard.palette import palette_for


def test_a_known_provider_keeps_its_colour_whoever_else_is_shown() -> None:
    palette = palette_for("light")
    others = ["azure_openai", "webhook", "third_party_agent", "my_own_bot"]
    for size in range(len(others) + 1):
        for shown in itertools.combinations(others, size):
            assert palette.of_names(["copilot_studio", *shown])["copilot_studio"] == palette.series[0]


def test_up_to_five_names_never_share_a_colour() -> None:
    palette = palette_for("dark")
    names = [f"agent-{number}" for number in range(12)]
    for shown in itertools.combinations(names, 5):
        assert len(set(palette.of_names(shown).values())) == 5


def test_the_order_of_names_does_not_change_their_colours() -> None:
    palette = palette_for("light")
    names = ["copilot_hr", "coding_assistant", "support_triage", "nightly_sync"]
    assert palette.of_names(names) == palette.of_names(reversed(names))


def _luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("appearance", "background"), [("light", "#FFFFFF"), ("dark", "#11161F")])
def test_every_series_colour_stands_out_from_its_background(appearance: str, background: str) -> None:
    behind = _luminance(background)
    for colour in palette_for(appearance).series:
        bright, dim = sorted((_luminance(colour), behind), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 3.0, colour


def test_an_unknown_appearance_is_light() -> None:
    assert palette_for(None) is palette_for("light")
