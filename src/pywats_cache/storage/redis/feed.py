"""The thread that beats and listens: it keeps the cells and the lease of a Redis ledger (`shared.lease`).

One connection subscribes to the bumps and to our own beats. A beat is a script on another connection, and so goes to
the server that takes writes. It also *writes*, though it changes nothing: a server that answers questions while it
refuses writes (MISCONF after a failed snapshot, NOREPLICAS, no memory) gives no lease, for no writer could tell us of
what it wrote. So it names all keys of the ledger, for a node of a cluster that moves some of them refuses changes.
Pings would not do: a server that was demoted goes on answering them on old connections.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from ...support.clock import monotonic
from ..shared.lease import BEAT, UNSURE, Lease
from .calls import Pauses

__all__ = ["UNSURE", "Feed"]

logger: logging.Logger = logging.getLogger("pywats_cache.storage.redis")

LASTED = 10.0
"""Seconds after which a subscription that ends has been a good one, so that the next is made soon."""
ECHO = """
local info = redis.call('INFO', 'replication')
if string.match(info, 'role:(%a+)') ~= 'master' then return redis.error_reply('READONLY not a master') end
local replid = string.match(info, 'master_replid:(%w+)')
local s = redis.call('HMGET', KEYS[1], 'generation', 'epoch', 'replid')
if s[1] then redis.call('HSETNX', KEYS[1], 'generation', s[1]) end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return {replid, s[3] == replid and s[1] or '', s[2] or '0'}
"""


class Feed(Lease):
    """The lease of the ledger at `keys`, of which the first is its state, and the thread that keeps it.

    - `channel`: where the bumps are published.
    - `at_beats`: called in the thread after each answer to a beat, so while the server takes writes; what it raises
      ends the subscription, which is made anew.
    - `used`: another value after each use of the lease.
    """

    def __init__(
        self,
        client: Any,
        channel: str,
        max_lag: float,
        keys: Sequence[str] = ("",),
        at_beats: Callable[[], object] = lambda: None,
        used: Callable[[], object] = monotonic,
    ) -> None:
        super().__init__(max_lag)
        self._client = client
        self._channel = channel
        self._echoes = f"{channel}:{uuid.uuid4().hex}"
        self._echo = client.register_script(ECHO)
        self._keys = keys
        self._at_beats = at_beats
        self._used_by = used
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

    def _run(self, stop: threading.Event) -> None:
        pauses = Pauses()
        while not stop.is_set():
            began = monotonic()
            subscription = self._client.pubsub()
            try:
                subscription.subscribe(self._channel, self._echoes)
                self._listen(subscription, stop)
            except Exception as error:  # noqa: BLE001 - whatever it is, the lease ends and the next try may do better
                self._failed(error)
            finally:
                try:
                    subscription.close()
                except Exception:  # noqa: BLE001, S110 - it is gone
                    pass
            if monotonic() - began > LASTED:
                pauses.end()
            stop.wait(pauses.next())

    def _failed(self, error: Exception) -> None:
        """Make the next try on new connections: an old one may lead to a server that was demoted, for ever."""
        logger.debug("the subscription ended: %s", type(error).__name__)
        self._client.connection_pool.disconnect(inuse_connections=False)
        self.on_change(error)

    def _listen(self, subscription: Any, stop: threading.Event) -> None:
        self.awake()
        while not stop.is_set():
            if self.wants_beat(monotonic(), self._used_by()):
                self._beat()
            # A use of the lease is noticed in time for a beat, for who asks first has a lease from then on.
            left = self.due - monotonic()
            message = subscription.get_message(timeout=left if left > 0.0 else self._max_lag * BEAT)
            if message is not None:
                self._take_message(message["type"], message["channel"], message["data"])

    def _beat(self) -> None:
        doubts, sent = self.doubts, monotonic()
        history, generation, epoch = self._echo(keys=self._keys, args=[self._echoes, b"%d" % self.beat(sent)])
        self.answered(history, generation.decode(), int(epoch), sent, doubts)
        self._at_beats()

    def _take_message(self, kind: str, channel: bytes, data: Any) -> None:
        if kind == "subscribe":
            self.subscribed()
        elif kind == "message" and channel == self._echoes.encode():
            self.heard(int(data))
            self.on_change(None)
        elif kind == "message":
            generation, _, epoch = bytes(data).decode().partition(" ")
            self._pushed(generation, int(epoch))
