"""A folder in memory for the temporary files of one test run.

A run makes and drops thousands of small databases, and on a disk most of their time is the file system's. Where the
system has no such folder, or too little memory, temporary files are where they always are.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

MEMORY = Path("/dev/shm")
NEEDED_BYTES = 4 * 2**30
"""Much more than a run takes: others want memory, too."""
_PREFIX = "bursar-tests-"


def make_memory_folder() -> Path | None:
    """This process's own; None where there is no room. What ended runs left behind is removed."""
    if not _has_room():
        return None
    for left in MEMORY.glob(f"{_PREFIX}*"):
        if not _runs(left.name.removeprefix(_PREFIX)):
            shutil.rmtree(left, ignore_errors=True)
    folder = MEMORY / f"{_PREFIX}{os.getpid()}"
    folder.mkdir(exist_ok=True)
    # PostgreSQL runs as another user.
    folder.chmod(0o755)
    return folder


def is_in_memory(path: str) -> bool:
    """Whether files below `path` cost no disk anything."""
    return Path(path).is_relative_to(MEMORY)


def _has_room() -> bool:
    try:
        system = os.statvfs(MEMORY)
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    # Where the virtual environment is closed to PostgreSQL's user, its programs are copied and run from here.
    if system.f_flag & (os.ST_RDONLY | os.ST_NOEXEC) or not os.access(MEMORY, os.W_OK | os.X_OK):
        return False
    available = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)
    return min(system.f_bavail * system.f_frsize, available) >= NEEDED_BYTES


def _runs(pid: str) -> bool:
    with contextlib.suppress(ProcessLookupError, ValueError):
        try:
            os.kill(int(pid), 0)
        except PermissionError:
            return True
        return True
    return False
