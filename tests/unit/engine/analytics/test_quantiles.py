"""Student's t against a printed table."""

from __future__ import annotations

import pytest

from engine.analytics.quantiles import student_t

# Two-sided 95 % and one-sided 95 % and 90 %, from the table in every book of statistics.
TABLE = [
    (1, 12.706, 6.314, 3.078),
    (2, 4.303, 2.920, 1.886),
    (3, 3.182, 2.353, 1.638),
    (5, 2.571, 2.015, 1.476),
    (10, 2.228, 1.812, 1.372),
    (30, 2.042, 1.697, 1.310),
    (99, 1.984, 1.660, 1.290),
]


@pytest.mark.parametrize(("degrees", "t975", "t950", "t900"), TABLE)
def test_it_agrees_with_the_table(degrees: int, t975: float, t950: float, t900: float) -> None:
    tolerance = 0.02 if degrees < 10 else 0.0005
    assert student_t(0.975, degrees) == pytest.approx(t975, rel=tolerance)
    assert student_t(0.95, degrees) == pytest.approx(t950, rel=tolerance)
    assert student_t(0.90, degrees) == pytest.approx(t900, rel=tolerance)


def test_it_tends_to_the_normal_quantile() -> None:
    assert student_t(0.975, 1_000_000) == pytest.approx(1.95996, abs=1e-4)
