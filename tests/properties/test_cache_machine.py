"""Reads, writes, time, eviction and invalidation in any order, against an honest model of the server."""

from __future__ import annotations

from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from pywats_cache import CacheClient, CacheTransport, Controller, MemoryStorage, Read, Write
from pywats_cache.coherence.epochs import Coherence
from pywats_cache.engine.classify import Preparer
from pywats_cache.engine.core import CLOCK_SLACK
from pywats_cache.httpx2 import CacheClient as CacheClient2
from pywats_cache.httpx2 import CacheTransport as CacheTransport2
from pywats_cache.storage.memory import MemoryStorage as Memory
from pywats_cache.testing import FakeClock

ITEMS = ["/items/1", "/items/2", "/items/1/parts"]
READS = st.sampled_from([*ITEMS, "/items", "/items?page=1", "/items?page=2", "/other", "/report"])
WRITES = st.sampled_from([*ITEMS, "/items", "/other", "/report"])
USERS = st.sampled_from(["ann", "bob"])
CLIENTS = st.integers(0, 1)
MAX_ENTRIES, MAX_BYTES = 6, 6000
TTL = {"/report": 20.0}
DEFAULT_TTL = 100.0
SETTLE = 30.0
SHORT = st.sampled_from([0.0, 1.5, 6.0, 29.0])


def is_affected(read: str, write: str) -> bool:
    """docs/explanation/coherence.md: what is below the path of the write, its collection, and what its rule says."""
    path = read.partition("?")[0]
    below = path == write or path.startswith(write + "/")
    collection = path == (write.rpartition("/")[0] or "/")
    return below or collection or (write == "/report" and path == "/other")


class CacheMachine(RuleBasedStateMachine):
    """Two clients (httpx and httpx2) of two users share one storage; the server's data changes by every write.

    The model: `current[path]` is the number of the newest data, `least[path]` what a read may show at least, because a
    write of it had completed, or somebody said so. `began[n]` is when the answer number n was asked for.
    """

    policy = "lru"

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(10_000.0)
        self.storage = MemoryStorage(MAX_ENTRIES, MAX_BYTES, 3000, clock=self.clock, policy=self.policy)
        controller = Controller(
            rules=[
                Read("/report", ttl=TTL["/report"]),
                Read("/other", tags=("other",)),
                Write("/report", dirties=("other",)),
            ],
            ttl=DEFAULT_TTL,
        )
        self.clients: list[Any] = [
            CacheClient(
                transport=CacheTransport(
                    httpx.MockTransport(self.respond(httpx)), storage=self.storage, controller=controller
                )
            ),
            CacheClient2(
                transport=CacheTransport2(
                    httpx2.MockTransport(self.respond(httpx2)), storage=self.storage, controller=controller
                )
            ),
        ]
        self.numbers = 0
        self.current: dict[str, int] = {}
        self.least: dict[str, int] = {}
        self.answers: list[float] = []
        self.seen: list[float] = []
        self.ending = "ok"
        self.padding = 0
        self.calls = 0
        self.lookups = 0

    def respond(self, library: Any) -> Any:
        def handle(request: Any) -> Any:
            path = request.url.path
            if request.method != "GET":
                return self.write_arrives(library, path)
            if self.ending == "broken":
                raise library.ReadError("broken")
            if self.ending == "500":
                return library.Response(500)
            self.answers.append(self.clock())
            user = request.headers["Authorization"].removeprefix("Bearer ")
            number = self.current.get(path, 0)
            content = f"{user} {number} {len(self.answers) - 1} {len(self.seen)} ".encode() + b"x" * self.padding
            headers = {"Cache-Control": "no-store"} if self.ending == "no-store" else {}
            return library.Response(200, headers=headers, content=content)

        return handle

    def write_arrives(self, library: Any, path: str) -> Any:
        if self.ending in ("ok", "500-applied", "timeout-applied"):
            self.apply(path)
        if self.ending == "refused":
            return library.Response(409)
        if "500" in self.ending:
            return library.Response(500)
        if self.ending.startswith(("timeout", "late")):
            raise library.ReadTimeout("no answer")
        if self.ending == "unsent":
            raise library.ConnectError("nobody there")
        return library.Response(200)

    def apply(self, write: str) -> None:
        self.numbers += 1
        for path in [*ITEMS, "/items", "/other", "/report"]:
            if is_affected(path, write):
                self.current[path] = self.numbers

    def completed(self, write: str) -> None:
        """From now on no read may show what was before."""
        for path in [*ITEMS, "/items", "/other", "/report"]:
            if is_affected(path, write):
                self.least[path] = self.current.get(path, 0)

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────────────────

    @initialize(path=READS, user=USERS)
    def something_is_stored(self, path: str, user: str) -> None:
        self.read(0, path, user, "request", 0, "ok")

    @rule(
        client=CLIENTS,
        path=READS,
        user=USERS,
        how=st.sampled_from(["get", "get", "request", "lookup", "refresh"]),
        padding=st.sampled_from([0, 0, 500, 1500, 4000]),
        ending=st.sampled_from(["ok", "ok", "ok", "ok", "broken", "500", "no-store"]),
    )
    def read(self, client: int, path: str, user: str, how: str, padding: int, ending: str) -> None:
        self.padding, self.ending = padding, ending
        caller = self.clients[client]
        headers = {"Authorization": f"Bearer {user}"}
        url = f"http://server.example{path}"
        if how == "lookup":
            entry = caller.lookup("GET", url, headers=headers)
            if entry is not None:
                self.lookups += 1
                self.check(path, user, entry.content, "hit")
                self.seen.append(self.clock())
            return
        self.calls += 1
        try:
            if how == "get":
                response = caller.get(url, headers=headers)
            else:
                extensions = {"pywats_cache": {"refresh": True}} if how == "refresh" else {}
                response = caller.request("GET", url, headers=headers, extensions=extensions)
        except (httpx.ReadError, httpx2.ReadError):
            response = None
        if response is not None and response.status_code == 200:
            status = response.extensions["pywats_cache"].status
            event(status)
            assert status in ("hit", "miss")
            assert how != "refresh" or status == "miss"
            self.check(path, user, response.content, status)
        self.seen.append(self.clock())

    def check(self, path: str, user: str, content: bytes, status: str) -> None:
        shown_user, number, answer, since = content.split()[:4]
        assert shown_user.decode() == user, "another user's answer"
        resource = path.partition("?")[0]
        assert self.least.get(resource, 0) <= int(number) <= self.current.get(resource, 0)
        now = self.clock()
        began = self.answers[int(answer)]
        ttl = TTL.get(resource, DEFAULT_TTL)
        if status == "hit":
            latest = max([*self.seen[int(since) :], began, now])
            assert 0.0 <= now - began < ttl
            assert latest - began < ttl + CLOCK_SLACK
            assert latest - now <= CLOCK_SLACK
        else:
            assert began == now

    @rule(
        client=CLIENTS,
        path=WRITES,
        method=st.sampled_from(["PUT", "POST", "DELETE", "PATCH"]),
        ending=st.sampled_from(
            ["ok", "ok", "ok", "refused", "unsent", "500", "500-applied", "timeout", "timeout-applied"]
        ),
    )
    def write(self, client: int, path: str, method: str, ending: str) -> None:
        event(f"write: {ending}")
        self.ending = ending
        self.calls += 1
        try:
            response = self.clients[client].request(
                method, f"http://server.example{path}", timeout=SETTLE, headers={"Authorization": "Bearer ann"}
            )
        except (httpx.TransportError, httpx2.TransportError):
            response = None
        if ending not in ("refused", "unsent"):
            self.completed(path)
        elif response is not None:
            assert response.status_code == 409
        self.seen.append(self.clock())

    @rule(client=CLIENTS, path=READS, user=USERS, ending=st.sampled_from(["late", "late 500"]), wait=SHORT)
    def a_write_is_lost_and_applied_later(self, client: int, path: str, user: str, ending: str, wait: float) -> None:
        """Within the window after its failure; later than that, the cache can know nothing of it."""
        resource = path.partition("?")[0]
        self.write(client, resource, "PUT", ending)
        self.clock.advance(wait)
        self.read(1 - client, path, user, "request", 0, "ok")
        self.apply(resource)
        self.completed(resource)
        self.read(client, path, user, "get", 0, "ok")

    @rule(path=WRITES)
    def data_changes_behind_the_caches_back(self, path: str) -> None:
        """Nobody tells the cache, so a read may show what was before until its TTL ends."""
        self.apply(path)

    @rule(client=CLIENTS, path=st.sampled_from([*ITEMS, "/items", "/other", "/"]))
    def invalidate(self, client: int, path: str) -> None:
        self.clients[client].cache.invalidate(path)
        for resource in [*ITEMS, "/items", "/other", "/report"]:
            if path == "/" or resource == path or resource.startswith(path + "/"):
                self.least[resource] = self.current.get(resource, 0)

    @rule(client=CLIENTS)
    def invalidate_a_tag(self, client: int) -> None:
        self.clients[client].cache.invalidate(tags=("other",))
        self.least["/other"] = self.current.get("/other", 0)

    @rule(client=CLIENTS)
    def clear(self, client: int) -> None:
        self.clients[client].cache.clear()
        assert len(self.storage) == 0
        self.least = dict(self.current)

    @rule(client=CLIENTS, count=st.integers(1, MAX_ENTRIES))
    def other_answers_come_in(self, client: int, count: int) -> None:
        self.ending, self.padding = "ok", 0
        for number in range(count):
            self.calls += 1
            url = f"http://server.example/filler/{self.numbers}/{self.calls}/{number}"
            self.clients[client].request("GET", url, headers={"Authorization": "Bearer ann"})
        self.seen.append(self.clock())

    @rule(seconds=st.sampled_from([1.0, 6.0, 6.0, 19.5, 20.0, 99.5, 100.0, 150.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([0.5, 1.0, 1.5, 3.0, 5.0, 99.0]))
    def the_clock_is_set_back(self, seconds: float) -> None:
        self.clock.advance(-seconds)

    @rule(client=CLIENTS, path=READS, user=USERS, how=st.sampled_from(["get", "request", "lookup"]))
    def time_that_was_seen_is_taken_back(self, client: int, path: str, user: str, how: str) -> None:
        self.read(client, path, user, "request", 0, "ok")
        self.clock.advance(6.0)
        self.read(1 - client, path, user, "request", 0, "ok")
        self.clock.advance(-3.0)
        self.read(client, path, user, how, 0, "ok")

    # ── what always holds ─────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def the_bounds_hold(self) -> None:
        entries = list(self.storage.table.items.values())
        assert len(entries) == len(self.storage) <= MAX_ENTRIES
        assert sum(entry.size for entry in entries) == self.storage.size_bytes <= MAX_BYTES
        assert all(entry.size <= 3000 for entry in entries)

    @invariant()
    def every_call_is_counted_once(self) -> None:
        stats = [client.cache.stats for client in self.clients]
        assert sum(snapshot.requests for snapshot in stats) == self.calls + self._lookups_of_gets(stats)

    def _lookups_of_gets(self, stats: list[Any]) -> int:
        """The lookups that the machine made itself; those inside `get` belong to a call."""
        assert sum(snapshot.lookups for snapshot in stats) >= self.lookups
        return self.lookups

    @invariant()
    def no_flight_is_left(self) -> None:
        assert len(self.storage.flights) == 0

    def teardown(self) -> None:
        for client in self.clients:
            client.close()


class TinyLFUMachine(CacheMachine):
    """The same with the other policy, which must know the keys that are there and no others."""

    policy = "w-tinylfu"

    @invariant()
    def the_policy_is_in_step(self) -> None:
        kept = self.storage.table.items._policy._kept  # type: ignore[union-attr]
        segments = [*kept.window, *kept.probation, *kept.protected]
        assert sorted(segments) == sorted(self.storage.table.items)


class SweptMachine(CacheMachine):
    """The same with a table of tags that is full all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.storage.coherence.max_tags = 4


TestTheCacheAgainstItsModel = CacheMachine.TestCase
TestTheSweptCacheAgainstItsModel = SweptMachine.TestCase
TestTheCacheByTinyLFUAgainstItsModel = TinyLFUMachine.TestCase


def no_bump(self: Coherence, tags: Any) -> int:
    return self.epoch


def one_partition(self: Preparer, *args: Any) -> str:
    return ""


def never_settling(self: Coherence, tags: Any, now: float) -> bool:
    return False


def put_anything(self: Memory, entry: Any) -> bool:
    self.table.items[entry.key] = entry
    self.table.size_bytes += entry.size
    return True


MUTANTS: dict[str, list[tuple[Any, str, Any]]] = {
    "writes dirty nothing": [(Coherence, "bump", no_bump)],
    "credentials do not separate": [(Preparer, "_partition", one_partition)],
    "there is no settle window": [(Coherence, "is_settling", never_settling)],
    "the storage has no bounds": [(Memory, "put", put_anything)],
    "a clock set back is not noticed": [(Coherence, "bump_all", lambda self: self.epoch)],
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_machine_finds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same machine fails when one rule is taken out."""
    for owner, method, replacement in MUTANTS[name]:
        assert hasattr(owner, method)
        monkeypatch.setattr(owner, method, replacement)
    hunting = settings(settings.get_profile("ci"), max_examples=400, phases=[Phase.generate], print_blob=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(CacheMachine, settings=hunting)
