"""Memory in front of a Redis or Valkey server that machines share: `storage="redis://127.0.0.1:6379/0"`."""

from __future__ import annotations

import os
from hashlib import blake2b
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakMethod

from ...errors import ConfigurationError, ConfigurationTypeError, StorageError
from ...support.checks import seconds, text
from ...support.clock import monotonic
from ...support.fork import renew_in_child
from ...support.showing import shown
from ..memory import MemoryStorage
from ..shared import base as sharing
from ..shared.backend import EPOCH, LOST, OPEN, Job
from ..shared.base import REVALIDATE_FOR, SharingStorage
from ..shared.coherence import SharedCoherence
from ..shared.record_format import FORMAT
from .ledger import RedisLedger
from .names import ClusterNames, check_prefix
from .records import UNASKED, RedisRows
from .refusals import remedy_for
from .upkeep import Upkeep
from .url import FORMS, address_of

if TYPE_CHECKING:
    from redis.cluster import RedisCluster

    from ...support.durations import Duration
    from ..entry import StoredResponse
    from ..outer import OuterFetch
    from ..shared.backend import Useless
    from ..shared.base import Decode

__all__ = ["RedisSharedStorage", "client_at", "digest_secret"]

KEY_VARIABLE = "PYWATS_CACHE_DIGEST_KEY"
DEADLINE = 5.0
"""Seconds for each step of making a connection. No request waits for that: see `connections` and `shared.patience`."""

SILENT = 5
"""Subscriptions that end, one after the other, before that is told."""
_OF_CLUSTERS = ("MovedError", "AskError", "TryAgainError", "ClusterDownError", "ClusterCrossSlotError")
_NO_CLUSTER = "the server is a node of a cluster: write redis+cluster:// in place of redis://, or rediss+cluster://"
_CHANGING = "the cluster is being changed, or lacks nodes, and takes no writes until that is over: see CLUSTER INFO"


class LeasedCoherence(SharedCoherence):
    """Relies on what it knows only while the lease of the feed lasts."""

    __slots__ = ("_may_continue", "_redis")

    def __init__(self, ledger: RedisLedger, on_failure: Any, may_continue: bool) -> None:
        self._redis = ledger
        self._may_continue = may_continue
        super().__init__(ledger, on_failure)

    @property
    def epoch(self) -> int:
        """The epoch, of which the local tables know everything up to `max_lag` ago; -1 while they may not."""
        # The lease before the cells: see `shared.lease`.
        if monotonic() < self._redis.feed.until:
            cells = self._cells
            epoch = cells[EPOCH]
            if epoch == self._local and cells[LOST] == self._lost:
                return epoch
        return self.refresh()

    @epoch.setter
    def epoch(self, value: int) -> None:
        """The server says where it begins."""

    def is_current(self) -> bool:
        """Whether `epoch` needs no I/O now. There is no file to look at."""
        if monotonic() >= self._redis.feed.until:
            return False
        cells = self._cells
        return cells[EPOCH] == self._local and cells[LOST] == self._lost

    def begin_write(self, tags: tuple[str, ...], lease: float) -> str | None:
        """Announce a write. Raises StorageError, and it is not sent, if nobody can be told and that was wanted."""
        intent = super().begin_write(tags, lease)
        if intent is None and not self._may_continue:
            error = StorageError("the write was not sent: the other machines cannot be told (on_unreachable='fail')")
            error.request_not_sent = True  # type: ignore[attr-defined]
            raise error
        return intent


class RedisSharedStorage(SharingStorage):
    """Memory first, then the Redis or Valkey server at `url`, shared by machines. Needs the extra `redis`.

    - `url`: `redis://user:password@host:6379/0`, `rediss://…` with TLS, `unix:///run/redis.sock`,
      `redis+sentinel://host1:26379,host2:26379/service/0` for the primary that the sentinels name, or
      `redis+cluster://host1:7000,host2:7000` for a cluster; a `redis.cluster.RedisCluster` is taken for its addresses
      and credentials.
    - `memory`: the hot part; None: a `MemoryStorage()`. It belongs to this storage from now on.
    - `digest_key`: at least 16 characters or bytes, the same on all machines; None: the environment variable
      `PYWATS_CACHE_DIGEST_KEY`. Without either no record is shared, since keys would not agree; what writes dirty is.
    - `max_lag`: seconds by which a process may lag behind another one's write.
    - `on_unreachable`: what becomes of a write while the server cannot be reached: `"continue"` sends it (this process
      stops using the cache and the others are bounded by the TTL until it can tell them), `"fail"` raises StorageError.
    - `prefix`: what the names of all keys begin with, to keep several caches on one server apart.
    - `revalidate_for`: seconds past its TTL for which a response with a validator is kept to be revalidated by a
      conditional request; a day by default.

    Raises ConfigurationError or ConfigurationTypeError for bad arguments, never because the server is away.
    """

    __module__ = "pywats_cache"

    _remedy = "the server must run, take writes, and be reached from here with these credentials"

    def __init__(
        self,
        url: str | RedisCluster,
        *,
        memory: MemoryStorage | None = None,
        digest_key: str | bytes | None = None,
        max_lag: Duration = 1.0,
        on_unreachable: Literal["continue", "fail"] = "continue",
        prefix: str = "pywats-cache",
        revalidate_for: Duration = REVALIDATE_FOR,
    ) -> None:
        text("prefix", prefix, "pywats-cache")
        if on_unreachable not in ("continue", "fail"):
            raise ConfigurationError(f"on_unreachable must be 'continue' or 'fail', not {shown(on_unreachable)}")
        self._max_lag = seconds("max_lag", max_lag, positive=True)
        secret = digest_secret(digest_key)
        client = self._client = client_at(url, DEADLINE)
        check_prefix(client, prefix)
        self._may_continue = on_unreachable == "continue"
        self._prefix = prefix
        used = WeakMethod(self._last_used)
        self._redis = RedisLedger(client, prefix, self._max_lag, lambda: _call(used))
        self._records = RedisRows(client, prefix)
        super().__init__(memory, self._redis, self._records, secret, "redis", revalidate_for)
        if secret is None:
            self._warn(f"redis: no answers are shared: give digest_key=, or {KEY_VARIABLE}, the same on all machines")
        self._upkeep = Upkeep(client, prefix, secret, self.memory.notices)
        self._watch_feed()
        renew_in_child(self)

    def _last_used(self) -> object:
        return self.memory.latest

    def _renew(self) -> None:
        self._redis.renew()
        self._upkeep.renew()
        self._watch_feed()

    def _watch_feed(self) -> None:
        self._silent = 0
        told = WeakMethod(self._feed_changed)  # or its thread would keep a storage that nobody closed
        self._redis.feed.on_change = lambda error: _call(told, error)

    def _feed_changed(self, error: Exception | None) -> None:
        """A subscription ended, and why; or, without an error, it brings what it should."""
        if error is None:
            if self._silent:
                self._silent = 0
                self.memory.notices.pop("no-pushes", None)
            return
        self._silent += 1
        remedy = self._remedy_for(type(error).__name__, str(error))
        # Other errors come when the server is restarted too, so they are told when they last and requests are answered.
        if remedy is None and (self._silent < SILENT or self._coherence.is_out_of_reach):
            return
        text = f"redis: nothing is pushed, so this process asks the server again and again ({type(error).__name__})"
        text = text if remedy is None else f"{text}; {remedy}"
        if self.memory.notices.get("no-pushes") != text:
            self.memory.notices["no-pushes"] = text
            self._warn(text)

    def _look(self, fetch: OuterFetch, decode: Decode, now: float) -> tuple[list[StoredResponse], bool]:
        """As in the base class, and in one round trip where nothing is stored."""
        if self._secret is None or not fetch.is_shared:
            return super()._look(fetch, decode, now)
        fetch.was_sought = False
        key = FORMAT + fetch.key
        found: list[StoredResponse] = []
        outdated: list[Useless] = []
        try:
            rows, token = self._records.find(key, sharing.CLAIM_SECONDS)
            found = self._entries(key, rows, decode, now, outdated)
            if token == UNASKED and not self._spare(fetch, found, now):
                useless, outdated = outdated, []
                rows, token = self._records.find(key, sharing.CLAIM_SECONDS, claims=True, useless=useless)
                found = self._entries(key, rows, decode, now, outdated)
            fetch.claim = None if token in (UNASKED, OPEN) else token
            if outdated:
                self._keep(Job(key, useless=outdated), 0)
            if self._spare(fetch, found, now):  # stored since we looked, just before the claim was given back
                self._release(fetch)
                return found, False
            return found, token is None
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a request
            self._failed("reading", error)
        return found, False

    def _store(self, jobs: list[Job]) -> None:
        """`_do` of the base class, in one round trip where a record is stored and its claim given back."""
        job = jobs[0]
        if len(jobs) > 1 or job.useless or job.token is None:
            super()._do(jobs)
            return
        row = self._row(job)
        try:
            if row is not None:
                self._records.finish(row, self._moment().wall, job.token, job.open_for)
                return
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a request
            self._failed("writing", error)
        super()._do([job._replace(row=None)])  # what may not store may perhaps give back

    def _remedy_for(self, kind: str, text: str) -> str | None:
        pool = getattr(self._client, "connection_pool", None)
        user = None if pool is None else pool.connection_kwargs.get("username")
        return remedy_for(kind, text, user, self._prefix)

    def _failed(self, doing: str, error: Exception) -> None:
        remedy = self._remedy_for(getattr(error, "kind", ""), str(error))
        if remedy is not None:
            told = StorageError(f"{error}; {remedy}")
            told.kind, told.remedy = getattr(error, "kind", ""), remedy  # type: ignore[attr-defined]
            error = told
        if getattr(error, "kind", "") == "ReadOnlyError":
            # A server that was demoted goes on answering; a new connection finds the one that took over.
            self._client.connection_pool.disconnect(inuse_connections=False)
        elif getattr(error, "kind", "") in _OF_CLUSTERS:
            is_known = isinstance(self._redis.names, ClusterNames)
            error.remedy = _CHANGING if is_known else _NO_CLUSTER  # type: ignore[attr-defined]
        self._upkeep.look_if_due()  # a right may be missing, and not every server says which
        super()._failed(doing, error)

    def _do(self, jobs: list[Job]) -> None:
        self._store(jobs)
        self._upkeep.look_if_due()

    def _new_coherence(self) -> SharedCoherence:
        return LeasedCoherence(self._redis, self._failed, self._may_continue)

    def close(self) -> None:
        """Close the connections. Safe at any time: the next request opens them again."""
        self._upkeep.close()
        super().close()


def _call(weak: WeakMethod[Any], *arguments: Any) -> Any:
    method = weak()
    return None if method is None else method(*arguments)


def client_at(url: Any, timeout: float) -> Any:
    """A client of redis-py for `url`, not connected yet. Raises ConfigurationError that repeats no secret of it."""
    if find_spec("redis") is None:
        raise ConfigurationError("storage redis:// needs redis-py: pip install 'pywats-cache[redis]'")
    from .connect import address_of_cluster, client_for

    is_cluster = (type(url).__module__, type(url).__name__) == ("redis.cluster", "RedisCluster")
    if not isinstance(url, str) and not is_cluster:
        known = type(url).__module__.partition(".")[0] == "redis"
        why = "; it makes clients of its own, with short deadlines" if known else ""
        raise ConfigurationTypeError(f"url must be a URL such as {FORMS}, not {shown(url)}{why}")
    try:
        return client_for(address_of_cluster(url) if is_cluster else address_of(url), timeout)
    except ConfigurationError as error:
        raise ConfigurationError(f"url {error}") from None
    except Exception:  # noqa: BLE001 - whatever it is, its text may hold a part of the URL
        raise ConfigurationError(f"url must be a URL such as {FORMS}, with parameters that redis-py takes") from None


def digest_secret(digest_key: str | bytes | None) -> bytes | None:
    """The key of the digests that is made of what the user gave, or of the environment; None without either."""
    if digest_key is None:
        digest_key = os.environ.get(KEY_VARIABLE) or None
    if digest_key is None:
        return None
    if not isinstance(digest_key, (str, bytes)):
        raise ConfigurationTypeError(f"digest_key must be a string or bytes, not a {type(digest_key).__name__}")
    raw = digest_key.encode() if isinstance(digest_key, str) else digest_key
    if len(raw) < 16:
        raise ConfigurationError("digest_key must have at least 16 characters: make one with secrets.token_hex(32)")
    return blake2b(raw, digest_size=32, person=b"pywats-cache").digest()
