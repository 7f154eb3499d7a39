"""Servers of the tests that serve in a thread, from the beginning of a `with` block to its end."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self


class ServingThread:
    """Runs `server` in a thread of its own."""

    def _serve(self, server: Any, *poll_seconds: float, name: str, daemon: bool = False) -> None:
        """Prepare the thread; call it when the server listens."""
        self.__server = server
        self.__thread = threading.Thread(target=server.serve_forever, args=poll_seconds, name=name, daemon=daemon)

    def _release(self) -> None:
        """Let those go who are kept waiting; called before the server is ended."""

    def __enter__(self) -> Self:
        self.__thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()
        self.__server.shutdown()
        # Servers of websockets close with their shutdown.
        if hasattr(self.__server, "server_close"):
            self.__server.server_close()
        self.__thread.join()
