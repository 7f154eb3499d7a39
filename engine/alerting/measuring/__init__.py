"""From a rule to what is measured for it.

`measure` asks the ledger for each group of a rule; `cadence` says at which times it is asked.
"""

from engine.alerting.measuring.metrics import measure

__all__ = ["measure"]
