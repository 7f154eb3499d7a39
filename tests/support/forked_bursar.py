"""`python -m bursar` without waiting for its imports: a process that has them already forks for every command.

Most of a short command's time goes into importing. So one process per test worker imports everything once and then
only listens. For each command it forks; the child takes the command's folder, environment and pipes, runs the package
as `python -m` does and ends as any Python ends: what is registered with atexit runs, output is flushed, an exception
is printed, and the exit code or the signal is reported.

Two things are not as in a fresh process, and both have an answer:

- Python and what is imported settle some things when they start: hash seed, encodings, time zone, colours. So only an
  environment is taken that differs from theirs by names which are read later; with any other the command runs fresh.
  Tests about what must not depend on the hash seed ask for a fresh process themselves.
- An import that a command forgot is not missed, the commands' options are made before and not by the child, and
  objects that still live at the end are not taken apart.
  `tests/integration/bursar/test_forked_bursar.py` runs every command fresh as well and compares.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import locale
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypedDict

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0

_READ_LATE = frozenset({"TMPDIR", "COLUMNS", "PYTEST_CURRENT_TEST"})
_IMPORTED_INSIDE_FUNCTIONS = (
    "alembic.command",
    "engine.ledger.migrate",
    "genai_prices.data",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
)
_NUMBER = struct.Struct("!i")


class _Request(TypedDict):
    arguments: list[str]
    folder: str
    environment: dict[str, str]


def run_fresh(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    timeout: float,
    piped: bytes | None = None,
) -> subprocess.CompletedProcess[str]:
    """`python -m bursar` as everybody starts it, with nothing on standard input or what is piped."""
    command = [sys.executable, "-m", "bursar", *arguments]
    stdin: dict[str, Any] = {"stdin": subprocess.DEVNULL} if piped is None else {"input": piped}
    done = subprocess.run(
        command, cwd=folder, env=environment, timeout=timeout, capture_output=True, check=False, **stdin
    )
    return subprocess.CompletedProcess(command, done.returncode, _as_text(done.stdout), _as_text(done.stderr))


class ForkedBursar:
    """Runs commands, forked where that makes no difference."""

    def __init__(self) -> None:
        self._environment = _settled({**os.environ, "PYTHONPATH": str(ROOT)})
        self._one_at_a_time = threading.Lock()
        self._socket, servers_end = socket.socketpair()
        self._socket.settimeout(START_SECONDS)
        with servers_end:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forked_bursar", str(servers_end.fileno())],
                cwd=ROOT, pass_fds=[servers_end.fileno()],
                # numpy would start threads, which a fork loses.
                env={**self._environment, "OPENBLAS_NUM_THREADS": "1"},
                # As a command has them: what Python learns about its own streams is the same then.
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        try:
            _receive_number(self._socket)
        except OSError:
            self._server.kill()
            raise RuntimeError(self._server.communicate()[1].decode(errors="replace")) from None

    @property
    def pid(self) -> int:
        """The process that forks."""
        return self._server.pid

    def close(self) -> None:
        """End the process that forks; it notices that nobody can ask any more."""
        self._socket.close()
        self._server.communicate(timeout=START_SECONDS)

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        timeout: float,
        piped: bytes | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Like `run_fresh`."""
        if _settled(environment) == self._environment and self._one_at_a_time.acquire(blocking=False):
            try:
                return self._run_forked(arguments, folder, environment, timeout, piped)
            finally:
                self._one_at_a_time.release()
        return run_fresh(arguments, folder, environment, timeout, piped)

    def _run_forked(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        timeout: float,
        piped: bytes | None,
    ) -> subprocess.CompletedProcess[str]:
        deadline = time.monotonic() + timeout
        request: _Request = {
            "arguments": [os.fsdecode(os.fsencode(argument)) for argument in arguments],
            "folder": str(folder),
            "environment": dict(environment),
        }
        with ExitStack() as pipes:
            (out, childs_out), (err, childs_err) = os.pipe(), os.pipe()
            for reader in (out, err):
                pipes.callback(os.close, reader)
            childs = [childs_out, childs_err]
            if piped is not None:
                childs_in, writer = os.pipe()
                childs.append(childs_in)
                threading.Thread(target=_write_all, args=(writer, piped), daemon=True).start()
            try:
                _send(self._socket, request, childs)
            finally:
                for each in childs:
                    os.close(each)
            self._socket.settimeout(START_SECONDS)
            pid = _receive_number(self._socket)
            try:
                said = _read_all([out, err], deadline)
                self._socket.settimeout(max(0.0, deadline - time.monotonic()) or 1e-3)
                code = _receive_number(self._socket)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                self._socket.settimeout(START_SECONDS)
                _receive_number(self._socket)
                raise subprocess.TimeoutExpired(["bursar", *arguments], timeout) from None
        return subprocess.CompletedProcess(["bursar", *arguments], code, *map(_as_text, said))


def _settled(environment: Mapping[str, str]) -> dict[str, str]:
    """What Python or an imported module may have looked at when it started."""
    return {
        name: value for name, value in environment.items() if not name.startswith("BURSAR_") and name not in _READ_LATE
    }


def _write_all(writer: int, content: bytes) -> None:
    # A command may end without having read it.
    with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "wb") as pipe:
        pipe.write(content)


def _read_all(readers: list[int], deadline: float) -> list[bytes]:
    said = {reader: bytearray() for reader in readers}
    with selectors.DefaultSelector() as waiting:
        for reader in readers:
            waiting.register(reader, selectors.EVENT_READ)
        while waiting.get_map():
            ready = waiting.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                part = os.read(key.fd, 65536)
                said[key.fd] += part
                if not part:
                    waiting.unregister(key.fd)
    return [bytes(said[reader]) for reader in readers]


def _as_text(said: bytes) -> str:
    """As `subprocess` does with `text=True`."""
    return said.decode(locale.getpreferredencoding(do_setlocale=False)).replace("\r\n", "\n").replace("\r", "\n")


def _send(connection: socket.socket, request: _Request, descriptors: list[int]) -> None:
    content = json.dumps(request).encode()
    socket.send_fds(connection, [_NUMBER.pack(len(content))], descriptors)
    connection.sendall(content)


def _receive(connection: socket.socket) -> tuple[_Request, list[int]] | None:
    header, descriptors, _, _ = socket.recv_fds(connection, _NUMBER.size, 3)
    if not header:
        return None
    (length,) = _NUMBER.unpack(header)
    request: _Request = json.loads(_receive_exactly(connection, length))
    return request, descriptors


def _receive_number(connection: socket.socket) -> int:
    number: int = _NUMBER.unpack(_receive_exactly(connection, _NUMBER.size))[0]
    return number


def _receive_exactly(connection: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        part = connection.recv(length - len(received))
        if not part:
            raise ConnectionResetError("the process that forks has ended")
        received += part
    return bytes(received)


def _import_everything() -> None:
    import bursar.cli

    for module in pkgutil.walk_packages(bursar.__path__, "bursar."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in _IMPORTED_INSIDE_FUNCTIONS:
        importlib.import_module(name)
    _build_commands()
    # A fork has one thread only, and the folder for temporary files comes from the command's environment.
    assert threading.active_count() == 1
    assert tempfile.tempdir is None
    tasks = Path("/proc/self/task")
    assert not tasks.exists() or len(list(tasks.iterdir())) == 1


def _build_commands() -> None:
    """Have Typer make its fifty commands and their options once: in each child that is half of a short command."""
    import typer.main

    from bursar.cli import app

    made = typer.main.get_command(app)

    def get_command(typer_instance: typer.Typer) -> Any:
        assert typer_instance is app
        return made

    typer.main.get_command = get_command


def _serve(connection: socket.socket) -> None:
    """Return in every child, ready to run its command; end the process when nobody can ask any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import_everything()
    gc.collect()
    gc.freeze()
    connection.sendall(_NUMBER.pack(0))
    while received := _receive(connection):
        request, descriptors = received
        pid = os.fork()
        if pid == 0:
            connection.close()
            _become(request, descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        connection.sendall(_NUMBER.pack(pid))
        _, status = os.waitpid(pid, 0)
        connection.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(status)))
    sys.exit(0)


def _become(request: _Request, descriptors: list[int]) -> None:
    """Be as Python is when it has read its command line."""
    for number, descriptor in zip((1, 2, 0), descriptors, strict=False):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # `python -m` puts its folder first; runpy puts the program's name first.
    sys.path[0] = request["folder"]
    sys.argv[1:] = request["arguments"]


def _run_and_end() -> None:
    try:
        runpy.run_module("bursar", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        code = ended.code or 0
    # What Python does first when it ends. Then it would take apart all that was imported: in a fork each page that
    # this touches is copied, which takes longer than most commands.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF)
    sys.exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
    _run_and_end()
