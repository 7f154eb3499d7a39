"""How long decisions take, from the histograms of `latencies`: `engine.ledger.rollups.METRICS` by microseconds.

`quantile_of` of `engine.ledger.histogram` reads a percentile from the bins.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from sqlalchemy import Connection, func, select

from engine.ledger.queries.slice import Grain, Slice, in_pieces
from engine.ledger.tables import latencies


def latency_bins(connection: Connection, part: Slice, metric: str) -> Counter[int]:
    """Calls by histogram bin, of the whole organization: latencies are not kept by team, provider or agent."""
    rows = connection.execute(
        select(latencies.c.bin, func.sum(latencies.c.calls).label("calls"))
        .where(in_pieces(latencies, part.org_id, part.pieces()), latencies.c.metric == metric)
        .group_by(latencies.c.bin)
    )
    return Counter({row.bin: int(row.calls) for row in rows})


def latency_series(connection: Connection, part: Slice, metric: str, *, grain: Grain) -> dict[datetime, Counter[int]]:
    """The same for each bucket that the slice touches, oldest first: buckets x bins rows are read.

    Raises `InvalidValue` for too many buckets (`Slice.buckets`).
    """
    rows = connection.execute(
        select(latencies.c.bucket, latencies.c.bin, latencies.c.calls)
        .where(in_pieces(latencies, part.org_id, [part.buckets(grain)]), latencies.c.metric == metric)
        .order_by(latencies.c.bucket, latencies.c.bin)
    )
    found: dict[datetime, Counter[int]] = {}
    for row in rows:
        found.setdefault(row.bucket, Counter())[row.bin] = row.calls
    return found
