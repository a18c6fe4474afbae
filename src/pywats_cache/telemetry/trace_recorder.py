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
import time
import weakref
from collections import deque
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationTypeError, whole
from ..policy.directives import EXTENSION
from ..support.fork import renew_in_child
from ..support.showing import shown

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from ..engine.steps import Fetch
    from ..storage.entry import StoredResponse
    from .outcome import CacheOutcome

    _Engine = Engine
else:
    _Engine = object

__all__ = ["Recorder", "Recording", "recording_engine", "rotated"]

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

    A failure to write is logged once and ends the recording. A forked child goes on by itself, into the same files.
    Guarded by `_writing`: the file; the queue needs no lock.
    """

    def __init__(self, path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> None:
        self._start()
        self._broken = False
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
            lines = []
            while self._queue:
                lines.append(json.dumps(self._queue.popleft(), separators=(",", ":")) + "\n")
            if lines and not self._broken:
                try:
                    self._append("".join(lines))
                except OSError as error:
                    self._broken = True
                    logger.warning("recording ends: %s", error.strerror)

    def _append(self, text: str) -> None:
        data = text.encode()
        size = self.path.stat().st_size if self.path.exists() else 0
        if size and size + len(data) > self._half:
            os.replace(self.path, rotated(self.path))
            size = 0
        with self.path.open("ab") as file:
            # One burst larger than the bound keeps its end.
            file.write(data if size else HEADER.encode() + data[-(self._half - len(HEADER)) :])


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


class Recording(_Engine):
    """Goes in front of an engine, and tells a recorder of every request, hits and lookups included.

    With `log_hits` the journal is told of hits too. Not in the engine itself, so that those without it are as fast as
    ever.
    """

    def __init__(self, *parts: Any, recorder: Recorder | None, log_hits: bool) -> None:
        super().__init__(*parts)
        self.recorder = recorder
        self.log_hits = log_hits

    def begin(self, request: Any) -> Any:
        """As the engine's; a hit is told."""
        began = time.perf_counter()
        step = super().begin(request)
        if step.__class__ is self.library.cached_response:
            outcome: CacheOutcome = step.extensions[EXTENSION]
            self._tell(request.method, outcome, time.perf_counter() - began)
        return step

    def touch(self, key: str, entry: StoredResponse, *, lookup: bool = False) -> None:
        """As the engine's; a lookup is told."""
        super().touch(key, entry, lookup=lookup)
        if lookup:
            from .outcome import CacheOutcome

            age = self.clock() - entry.began
            outcome = CacheOutcome("hit", "fresh", age, entry.ttl, key, True, entry.rule)
            self._tell("", outcome, 0.0, lookup=True)

    def missed_lookup(self, request: Any, *found: Any) -> Any:
        """As the engine's; what is answered at once is told."""
        step = super().missed_lookup(request, *found)
        if step.__class__ is self.library.looked_up_response:
            self._tell("", step.extensions[EXTENSION], 0.0, lookup=True)
        return step

    def answered_request(self, request: Any, response: Any, took: float, *, lookup: bool = False) -> None:
        """As the engine's, and recorded."""
        super().answered_request(request, response, took, lookup=lookup)
        outcome = response.extensions.get(EXTENSION)
        if outcome is not None:
            self._record("" if lookup else request.method, outcome, took, lookup=lookup)

    def _tell(self, method: str, outcome: CacheOutcome, took: float, *, lookup: bool = False) -> None:
        if self.log_hits:
            self.journal.note(method, outcome.status, outcome.reason, outcome.rule or "", outcome.key, took)
        self._record(method, outcome, took, lookup=lookup)

    def _record(self, method: str, outcome: CacheOutcome, took: float, *, lookup: bool = False) -> None:
        if self.recorder is None:
            return
        entry = self.storage.find(outcome.key) if outcome.key is not None else None
        line: dict[str, Any] = {
            "e": "q",
            "t": round(time.time(), 4),
            "m": method,
            "s": outcome.status,
            "r": outcome.reason,
            "k": outcome.key,
            "rule": outcome.rule,
            "ms": round(took * 1000.0, 3),
            "n": None if entry is None else entry.size,
            "ttl": _finite(outcome.ttl),
        }
        if lookup:
            line["l"] = 1
        self.recorder.put(line)

    def _keep(self, fetch: Fetch, entry: StoredResponse) -> str | None:
        why_not = super()._keep(fetch, entry)
        if why_not is None and self.recorder is not None:
            stored = {
                "e": "s",
                "t": round(time.time(), 4),
                "k": entry.key,
                "n": entry.size,
                "ttl": _finite(entry.ttl),
                "ms": round(entry.took * 1000.0, 3),
                "tags": self._digests(entry.tags),
            }
            self.recorder.put(stored)
        return why_not

    def dirtied(self, tags: Iterable[str] | None, reason: str, rule: str = "") -> None:
        """As the engine's, and recorded."""
        super().dirtied(tags, reason, rule)
        if self.recorder is not None:
            now = round(time.time(), 4)
            self.recorder.put(
                {"e": "c", "t": now} if tags is None else {"e": "d", "t": now, "tags": self._digests(tags)}
            )

    def _digests(self, tags: Iterable[str]) -> list[str]:
        secret = self.storage.secret
        return [blake2b(tag.encode("utf-8", "surrogatepass"), key=secret, digest_size=6).hexdigest() for tag in tags]


def recording_engine(kind: type[Engine], *parts: Any, recorder: Recorder | None, log_hits: bool) -> Engine:
    """An engine of this kind that tells."""
    both: Any = type(f"Recording{kind.__name__}", (Recording, kind), {})
    engine: Engine = both(*parts, recorder=recorder, log_hits=log_hits)
    return engine


def _finite(ttl: float | None) -> float | None:
    return None if ttl is None or ttl == float("inf") else ttl
