"""What a Redis or Valkey server pushes to this process, and how long it may be relied upon.

One connection subscribes to the bumps and to our own echoes. An echo is published, on another connection, by the script
that first makes sure that the server is the one that takes writes. What was published before an echo arrives before it,
so when it arrives we know all bumps up to the moment it was *sent*, and for `max_lag` seconds from then the copy here
lags by no more than that. That is the lease. It needs no report of a lost connection: without echoes it ends by itself.
Pings would not do: a server that was demoted goes on answering them on old connections, while the bumps go elsewhere.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from typing import Any

from ...support.clock import monotonic
from ..shared.backend import EPOCH, LOST, Delta
from .calls import Pauses

__all__ = ["Feed"]

logger: logging.Logger = logging.getLogger("pywats_cache.storage.redis")

UNSURE = -2
"""In the cell of the epoch: bumps may have been missed, so ask."""
LASTED = 10.0
"""Seconds after which a subscription that ends has been a good one, so that the next is made soon."""
MOST_UNHEARD = 12
"""Echoes under way at most; then the subscription is made anew."""
ECHO = """
local info = redis.call('INFO', 'replication')
if string.match(info, 'role:(%a+)') ~= 'master' then return redis.error_reply('READONLY not a master') end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return string.match(info, 'master_replid:(%w+)')
"""


class Feed:
    """The cells of a Redis ledger, and the thread that keeps them. Guarded by `_lock`; reading needs no lock.

    - `until`: when the lease ends, on the clock that counts sleep: for others time goes on while this machine sleeps.
    - `doubts`: grows whenever pushes may have been missed.
    """

    def __init__(self, client: Any, channel: str, max_lag: float) -> None:
        self._client = client
        self._channel = channel
        self._echoes = f"{channel}:{uuid.uuid4().hex}"
        self._echo = client.register_script(ECHO)
        self._max_lag = max_lag
        self.cells: list[int] = [UNSURE, 0]
        self.until: float = float("-inf")
        self.doubts: int = 0
        self._generation = ""
        self._lock = threading.RLock()  # a signal handler may ask in a thread that holds it
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self.on_change: Callable[[Exception | None], object] = lambda error: None
        """Told why a subscription ended, and, with None, that echoes are heard."""

    def start(self) -> None:
        """Subscribe, in a daemon thread, unless that runs already."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._stop = threading.Event()
                    self._thread = threading.Thread(
                        target=self._run, args=(self._stop,), name="pywats-cache-feed", daemon=True
                    )
                    self._thread.start()

    def stop(self) -> None:
        """End the thread; `start` begins anew."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stop.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._max_lag + 1.0)

    def end_soon(self) -> None:
        """End the thread of a storage that nobody closed: it holds this object, so it would go on for ever."""
        self._stop.set()

    def learned(self, delta: Delta, asked: float, doubts: int) -> None:
        """Take over the answer to a question sent at `asked`, when `self.doubts` was `doubts`. It gives a lease too."""
        with self._lock:
            if doubts != self.doubts:
                return  # it may be older than what was missed
            if delta.generation != self._generation or self.cells[EPOCH] < delta.epoch:
                self._generation = delta.generation
                self.cells[EPOCH] = delta.epoch
            self.until = max(self.until, asked + self._max_lag)

    def doubt(self) -> None:
        """Pushes may have been missed: whoever checks must ask."""
        with self._lock:
            self.doubts += 1
            self.cells[EPOCH] = UNSURE

    def _pushed(self, generation: str, epoch: int) -> None:
        with self._lock:
            if self.cells[EPOCH] == UNSURE:
                self.doubts += 1  # an answer under way may be older than this
            elif generation != self._generation:
                self._generation = generation
                self.cells[LOST] += 1
                self.cells[EPOCH] = epoch
            else:
                self.cells[EPOCH] = max(self.cells[EPOCH], epoch)

    def _run(self, stop: threading.Event) -> None:
        pauses = Pauses()
        while not stop.is_set():
            began = monotonic()
            subscription = self._client.pubsub()
            try:
                subscription.subscribe(self._channel, self._echoes)
                self._listen(subscription, stop)
            except Exception as error:  # noqa: BLE001 - whatever it is, the lease ends and the next try may do better
                logger.debug("the subscription ended: %s", type(error).__name__)
                self.on_change(error)
            finally:
                try:
                    subscription.close()
                except Exception:  # noqa: BLE001, S110 - it is gone
                    pass
            if monotonic() - began > LASTED:
                pauses.end()
            stop.wait(pauses.next())

    def _listen(self, subscription: Any, stop: threading.Event) -> None:
        unheard: dict[bytes, float] = {}
        history: bytes | None = None
        count, due = 0, float("-inf")
        while not stop.is_set():
            now = monotonic()
            if now >= due:
                if len(unheard) >= MOST_UNHEARD:
                    raise TimeoutError("no echoes")
                count += 1
                token = b"%d" % count
                was, history = history, self._echo(args=[self._echoes, token])
                if was not in (None, history):
                    # Another server, or a restarted one: it may never have had some of the bumps.
                    self.doubt()
                    unheard.clear()
                else:
                    unheard[token] = now
                due = now + self._max_lag / 3
            message = subscription.get_message(timeout=max(0.0, due - monotonic()))
            if message is None:
                continue
            kind, data = message["type"], message["data"]
            if kind == "subscribe":
                # After each reconnection too; what was pushed meanwhile was missed.
                self.doubt()
                unheard.clear()
                due = float("-inf")
            elif kind == "message" and message["channel"] == self._echoes.encode():
                sent = unheard.pop(bytes(data), None)
                if sent is not None:
                    unheard = {token: when for token, when in unheard.items() if when > sent}
                    with self._lock:
                        self.until = max(self.until, sent + self._max_lag)
                    self.on_change(None)
            elif kind == "message":
                generation, _, epoch = bytes(data).decode().partition(" ")
                self._pushed(generation, int(epoch))
