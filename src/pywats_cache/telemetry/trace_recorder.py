"""A redacted trace of what a cache was asked, for `pywats-cache simulate`: `CacheTransport(record="trace.jsonl")`.

One JSON object a line. The first says `{"pywats_cache_trace": 1}`; the others are, by `e`:

- `q`: a request: `t` wall time, `m` method ("" for a lookup), `s` status, `r` reason, `k` key digest, `rule`,
  `ms` latency, `n` bytes of the entry, `ttl` seconds; `l` for a lookup.
- `s`: an answer was stored: `t`, `k`, `n`, `ttl`, `ms` that the fetch took, `tags`: digests.
- `d`: tags were dirtied: `t`, `tags`.   `c`: all was forgotten: `t`.

Digests are keyed by a secret of the storage that is never written, so neither URLs nor credentials can be guessed
from them.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
import weakref
from collections import deque
from pathlib import Path
from typing import Any

from ..errors import ConfigurationTypeError
from ..support.checks import whole
from ..support.files import patiently
from ..support.fork import renew_in_child
from ..support.showing import shown

__all__ = ["Recorder", "rotated"]

logger: logging.Logger = logging.getLogger("pywats_cache.recording")

HEADER = '{"pywats_cache_trace": 1}\n'
MAX_BYTES = 64 << 20
EVERY = 0.25
"""Seconds between two writings."""
IDLE_SECONDS = 10.0
BACKLOG = 20_000
"""Lines that wait to be written; more are dropped, and counted."""


def rotated(path: Path) -> Path:
    """Where the older half of a trace is."""
    return path.with_name(f"{path.name}.1")


class Recorder:
    """Appends lines to a file from a daemon thread; `put` never waits for the disk.

    - `max_bytes`: the file and its older half `<name>.1` together are never larger, so the newest is kept.

    A failure to write is logged once and ends the recording, but for this: while Windows does not let the file be
    renamed, because somebody has it open, the lines wait, at most `BACKLOG` of them. A forked child goes on by itself,
    into the same files.
    Guarded by `_writing`: the file; the queue needs no lock.
    """

    def __init__(self, path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> None:
        self._start()
        self._broken = self._is_held = False
        if not isinstance(path, (str, os.PathLike)):
            raise ConfigurationTypeError(f"record must be the path of a file, not {shown(path)}")
        self.path: Path = Path(path)
        self._half = whole("max_bytes", max_bytes, least=4096) // 2
        self.dropped: int = 0
        renew_in_child(self)
        atexit.register(_flush, weakref.ref(self))

    def _start(self) -> None:
        self._queue: deque[dict[str, Any]] = deque()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None

    _renew = _start

    def put(self, line: dict[str, Any]) -> None:
        """Write `line` soon."""
        if self._broken:
            return
        if len(self._queue) >= BACKLOG:
            self.dropped += 1
            return
        self._queue.append(line)
        if self._thread is None:
            self._ensure_thread()

    def _ensure_thread(self) -> None:
        thread = self._thread = threading.Thread(
            target=_write_on, args=(weakref.ref(self),), name="pywats-cache-record", daemon=True
        )
        thread.start()

    def _is_needed(self, idle: int) -> bool:
        """Write what waits. False ends the thread, which has had nothing to do for a while; `put` starts another."""
        self.flush()
        if self._broken:
            return False
        if idle * EVERY < IDLE_SECONDS:
            return True
        self._thread = None
        if self._queue:  # put while the line above ran
            self._ensure_thread()
        return False

    def __del__(self) -> None:
        self.flush()

    def flush(self) -> None:
        """Write all that waits."""
        with self._writing:
            taken: list[dict[str, Any]] = []
            while self._queue:
                taken.append(self._queue.popleft())
            if taken and not self._broken:
                text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in taken)
                try:
                    if not self._append(text):
                        self._queue.extendleft(reversed(taken))
                except OSError as error:
                    self._broken = True
                    logger.warning("recording ends: %s", error.strerror)

    def _append(self, text: str) -> bool:
        """False where the file is full and cannot be renamed now."""
        data = text.encode()
        size = self.path.stat().st_size if self.path.exists() else 0
        if size and size + len(data) > self._half:
            try:
                patiently(os.replace, self.path, rotated(self.path))
            except PermissionError:
                if os.name != "nt":
                    raise
                if not self._is_held:
                    self._is_held = True
                    logger.warning("recording waits: another program has the file open, so that it cannot be renamed")
                return False
            self._is_held = False
            size = 0
        with self.path.open("ab") as file:
            # One burst larger than the bound keeps its end.
            file.write(data if size else HEADER.encode() + data[-(self._half - len(HEADER)) :])
        return True


def _write_on(reference: weakref.ref[Recorder]) -> None:
    """The thread: it keeps no recorder alive that nobody else does."""
    pause = threading.Event()
    idle = 0
    while True:
        pause.wait(EVERY)
        recorder = reference()
        if recorder is None:
            return
        idle = 0 if recorder._queue else idle + 1
        if not recorder._is_needed(idle):
            return
        del recorder


def _flush(reference: weakref.ref[Recorder]) -> None:
    recorder = reference()
    if recorder is not None:
        recorder.flush()
