from __future__ import annotations

import itertools
import math
import random
import statistics

import pytest

from engine.replay.synthetic import CODING, CONVERSATION, Arrival, TrafficShape, arrivals


def made_up(shape: TrafficShape, seed: int, count: int = 40_000) -> list[Arrival]:
    return list(itertools.islice(arrivals(shape, 2.0, random.Random(seed)), count))


@pytest.mark.parametrize("shape", [CONVERSATION, CODING])
def test_token_counts_follow_the_public_traces(shape: TrafficShape) -> None:
    calls = made_up(shape, seed=7)
    for values, median, ln_sd in (
        ([call.input_tokens for call in calls], shape.input_median, shape.input_ln_sd),
        ([call.output_tokens for call in calls], shape.output_median, shape.output_ln_sd),
    ):
        assert statistics.median(values) == pytest.approx(median, rel=0.05)
        assert statistics.pstdev(map(math.log, values)) == pytest.approx(ln_sd, rel=0.05)


def test_people_come_steadily_and_programs_in_bursts() -> None:
    variation = {}
    for shape in (CONVERSATION, CODING):
        times = [call.at for call in made_up(shape, seed=3)]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        variation[shape] = statistics.pstdev(gaps) / statistics.mean(gaps)
    assert variation[CONVERSATION] == pytest.approx(1.1, rel=0.1)
    # The few longest gaps decide a heavy tail, so a sample stays somewhat below its 13.
    assert 7 < variation[CODING] < 20


def test_the_same_seed_makes_the_same_calls() -> None:
    assert made_up(CODING, seed=1, count=50) == made_up(CODING, seed=1, count=50)
    assert made_up(CODING, seed=1, count=50) != made_up(CODING, seed=2, count=50)
