"""Imported last in a process that only forks: what it has imported is never looked through for garbage.

Else a child does that soon, and each page that is touched then is copied for it.
"""

from __future__ import annotations

import gc

gc.collect()
gc.freeze()
