"""A process that asks `cedarpy` when told to. It runs in the peers' environment and knows nothing of Bursar.

One JSON value a line. First it is told the policies as Cedar text and the requests, parses the policies once, and
answers with the version and which requests are allowed. Then each line is a range of requests, and the answer how long
each took, in nanoseconds. It ends when its input ends.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from time import perf_counter_ns
from typing import Any

from cedarpy import Decision, Entities, PolicySet, is_authorized  # type: ignore[import-not-found]

WARM_UP = 20


def main() -> None:
    told = json.loads(sys.stdin.readline())
    policies, entities = PolicySet.from_str(told["policies"]), Entities.from_json_str("[]")
    requests = told["requests"]
    allowed = [is_authorized(request, policies, entities).decision is Decision.Allow for request in requests]
    answer({"version": importlib.metadata.version("cedarpy"), "allowed": allowed})
    for line in sys.stdin:
        first, count = json.loads(line)
        for number in range(first, first + WARM_UP):
            is_authorized(requests[number % len(requests)], policies, entities)
        times = []
        for number in range(first, first + count):
            request = requests[number % len(requests)]
            started = perf_counter_ns()
            is_authorized(request, policies, entities)
            times.append(perf_counter_ns() - started)
        answer(times)


def answer(value: Any) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
