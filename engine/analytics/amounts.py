"""Numbers on their way into a statistic: a wrong one is refused here, before it turns the result into NaN."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import InvalidValue

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def amounts(field: str, values: ArrayLike) -> Floats:
    """A flat array of amounts that are finite and not negative, in the unit they came in. Raises `InvalidValue`."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidValue(field, "must be numbers") from None
    if array.ndim != 1:
        raise InvalidValue(field, f"must be a flat array, got {array.ndim} dimensions")
    if not np.isfinite(array).all():
        raise InvalidValue(field, "must be finite numbers")
    if (array < 0).any():
        raise InvalidValue(field, f"must not be negative, got {array.min():g}")
    return array


def amount(field: str, value: float) -> float:
    """One such amount. Raises `InvalidValue`."""
    if isinstance(value, bool) or not math.isfinite(value):
        raise InvalidValue(field, f"must be a finite number, got {value}")
    if value < 0:
        raise InvalidValue(field, f"must not be negative, got {value}")
    return value


def same_length(arrays: Sequence[tuple[str, NDArray[np.generic]]]) -> int:
    """The length the named arrays share. Raises `InvalidValue` that names the first of another length."""
    first, reference = arrays[0]
    for field, array in arrays[1:]:
        if len(array) != len(reference):
            raise InvalidValue(field, f"has {len(array)} values where {first} has {len(reference)}")
    return len(reference)


def p95(values: Floats) -> float:
    """The smallest of the values that at least 95 % of them do not exceed; of none it is 0."""
    if not len(values):
        return 0.0
    rank = rank_of_95(len(values))
    return float(np.partition(values, rank - 1)[rank - 1])


def rank_of_95(count: int) -> int:
    """How many of so many values make up 95 %, rounded up. Whole numbers, since 0.95 x 20 is not 19 in floats."""
    return -(-95 * count // 100)
