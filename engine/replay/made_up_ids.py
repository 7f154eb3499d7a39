"""Names of made-up decisions: UUIDs of version 7 with a time and a randomness of their own. Pure."""

from __future__ import annotations

import random


def made_up_decision_id(at_ms: int, random_source: random.Random) -> str:
    """As `new_decision_id` makes them, but the same again for the same instant and seed."""
    time_text, digits = f"{at_ms & ((1 << 48) - 1):012x}", f"{random_source.getrandbits(80):020x}"
    variant = "89ab"[int(digits[3], 16) & 3]
    return f"{time_text[:8]}-{time_text[8:]}-7{digits[:3]}-{variant}{digits[4:7]}-{digits[7:19]}"
