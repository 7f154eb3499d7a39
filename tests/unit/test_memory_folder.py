"""Where the temporary files of a test run are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import memory_folder
from tests.support.memory_folder import is_in_memory, make_memory_folder


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that has room enough."""
    monkeypatch.setattr(memory_folder, "MEMORY", tmp_path)
    monkeypatch.setattr(memory_folder, "NEEDED_BYTES", 0)
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory there is")
def test_a_run_gets_a_folder_and_what_ended_runs_left_is_removed(memory: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    kept = [memory / f"bursar-tests-{os.getppid()}", memory / "of somebody else"]
    for folder in (*kept, memory / f"bursar-tests-{ended.pid}"):
        (folder / "t").mkdir(parents=True)
    made = make_memory_folder()
    assert made is not None
    assert is_in_memory(str(made))
    assert set(memory.iterdir()) == {made, *kept}


def test_without_room_there_is_no_folder(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_folder, "NEEDED_BYTES", 2**60)
    assert make_memory_folder() is None
    monkeypatch.setattr(memory_folder, "MEMORY", memory / "nowhere")
    assert make_memory_folder() is None
    assert list(memory.iterdir()) == []
    assert not is_in_memory(str(memory))
