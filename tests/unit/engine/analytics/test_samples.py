"""How many calls a number needs before it is shown, or acted upon."""

from __future__ import annotations

import pytest

from engine.analytics.samples import Band, band_of
from engine.errors import InvalidValue


@pytest.mark.parametrize(
    ("calls", "band"),
    [
        (0, Band.COUNT_ONLY),
        (29, Band.COUNT_ONLY),
        (30, Band.GREY),
        (99, Band.GREY),
        (100, Band.ACT),
        (1_000_000, Band.ACT),
    ],
)
def test_a_number_is_grey_from_30_calls_and_acted_upon_from_100(calls: int, band: Band) -> None:
    assert band_of(calls) is band


def test_fewer_than_no_calls_are_refused() -> None:
    with pytest.raises(InvalidValue, match=r"^calls: "):
        band_of(-1)
