"""Stale serving in any order of reads, writes, outages, purges and time, against a model of what may be shown.

Never beyond the window; never what a write has dirtied; one refresh at a time; each call counted once. A read that
waits for a refresh finds it landed, a write come in between, or its patience at an end.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from held_refreshes import HeldRefreshes
from hypothesis import Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from pywats_cache import CacheClient, Controller, MemoryStorage, Read
from pywats_cache.coherence.epochs import Coherence
from pywats_cache.engine.core import Core
from pywats_cache.engine.staleness import Staleness
from pywats_cache.engine.steps import Fetch, Join
from pywats_cache.testing import FakeClock

PATHS = st.sampled_from(["/a", "/a/b", "/days"])
HOW = st.sampled_from(["get", "get", "request"])
MEANWHILE = st.sampled_from(["nothing", "it lands", "it lands", "a write"])
"""What comes to a read that waits."""
TTL, REVALIDATE, IF_ERROR, OFFLINE, DAYS, DOWN = 100.0, 30.0, 200.0, 1000.0, 90_000.0, 5.0


def window(path: str, reason: str) -> float:
    """Seconds after the TTL for which this reason allows an answer."""
    offline = DAYS if path == "/days" else OFFLINE
    return {"while-revalidate": REVALIDATE, "if-error": IF_ERROR, "offline": offline}[reason]


class StaleMachine(RuleBasedStateMachine):
    """`versions[path]` is the server's data, `least[path]` what a read may show at least after a completed write."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.server = "up"
        self.versions: dict[str, int] = {}
        self.least: dict[str, int] = {}
        self.asked = 0
        self.calls = self.gets = 0
        controller = Controller(
            [Read("/days", offline_for=DAYS), Read("/a/b", refresh_ahead=0.5)],
            ttl=TTL,
            stale_while_revalidate=REVALIDATE,
            stale_if_error=IF_ERROR,
            offline="auto",
            offline_for=OFFLINE,
            down_for=DOWN,
        )
        self.client = CacheClient(
            transport=httpx.MockTransport(self.respond),
            base_url="http://server.example",
            controller=controller,
            storage=MemoryStorage(clock=self.clock),
        )
        self.under_way: list[Fetch] = []
        self.refreshes = HeldRefreshes(self.client.cache)
        self.meanwhile, self.waited_for = "nothing", 0
        self.wait = self.client.cache._wait
        self.client.cache._wait = self.something_happens

    def respond(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "GET":
            self.asked += 1
        if self.server == "down":
            raise httpx.ConnectError("refused")
        if self.server == "hanging":
            if request.method != "GET":
                self.apply(path)
            raise httpx.ReadTimeout("no answer")
        if self.server == "failing":
            return httpx.Response(503)
        if request.method != "GET":
            self.apply(path)
            return httpx.Response(200)
        tag = f'"{self.versions.get(path, 0)}"'
        if request.headers.get("If-None-Match") == tag:
            return httpx.Response(304, headers={"ETag": tag})
        return httpx.Response(200, headers={"ETag": tag}, text=tag.strip('"'))

    def apply(self, path: str) -> None:
        for affected in ("/a", "/a/b", "/days"):
            if affected == path or affected.startswith(path + "/") or path.rpartition("/")[0] == affected:
                self.versions[affected] = self.versions.get(affected, 0) + 1

    def arrive(self, fetch: Fetch) -> None:
        """The answer to a refresh that is under way comes, or the error."""
        self.under_way.remove(fetch)
        try:
            self.client.cache._fetch(fetch).read()
        except httpx.TransportError:
            pass

    def something_happens(self, join: Join) -> Any:
        """In the place of a wait for a refresh, the only fetch that can be under way here."""
        event(f"a wait in a {'lookup' if join.lookup else 'request'}: {self.meanwhile}")
        (fetch,) = [fetch for fetch in self.under_way if fetch.flight is join.flight]
        if self.meanwhile == "nothing":
            join.deadline = 0.0
        else:
            if self.meanwhile == "a write":
                self.write(str(fetch.request.url.path))
            before = self.asked
            self.arrive(fetch)
            self.waited_for += self.asked - before
        return self.wait(join)

    @rule(path=PATHS, how=HOW, meanwhile=MEANWHILE)
    def read(self, path: str, how: str, meanwhile: str) -> None:
        before, least = self.asked, self.least.get(path, 0)
        self.meanwhile, self.waited_for = meanwhile, 0
        self.calls += 1
        self.gets += how == "get"
        try:
            response = self.client.get(path) if how == "get" else self.client.request("GET", path)
        except httpx.TransportError:
            event("an error reached the caller")
            assert self.server in ("down", "hanging")
            return
        outcome = response.extensions["pywats_cache"]
        event(f"{outcome.status}: {outcome.reason}")
        if response.status_code == 503:
            assert self.server == "failing"
            return
        assert least <= int(response.text) <= self.versions.get(path, 0)
        assert outcome.age >= 0
        if outcome.status in ("hit", "collapsed"):
            assert outcome.age < TTL
        elif outcome.status == "stale":
            assert outcome.age < TTL + window(path, outcome.reason)
            assert outcome.reason != "while-revalidate" or self.asked == before + self.waited_for
        else:
            assert outcome.status in ("miss", "revalidated")
        if outcome.status in ("miss", "revalidated", "collapsed"):
            assert int(response.text) == self.versions.get(path, 0)
            assert self.server == "up"

    @rule(path=PATHS, how=HOW, meanwhile=MEANWHILE, later=st.sampled_from([6.0, REVALIDATE, REVALIDATE, TTL]))
    def a_refresh_takes_long(self, path: str, how: str, meanwhile: str, later: float) -> None:
        """After the window of the stale answer there is only the refresh to wait for, and its answer may be old too."""
        self.read(path, how, meanwhile)
        self.time_passes(TTL + 1.0)
        self.read(path, how, meanwhile)
        self.a_refresh_begins()
        self.time_passes(later)
        self.read(path, how, meanwhile)

    @rule(path=PATHS)
    def refresh(self, path: str) -> None:
        """Who asks for a new answer gets one, or the error."""
        self.calls += 1
        try:
            response = self.client.get(path, extensions={"pywats_cache": {"refresh": True}})
        except httpx.TransportError:
            return
        assert response.extensions["pywats_cache"].status in ("miss", "revalidated")
        assert response.status_code == 503 or int(response.text) == self.versions.get(path, 0)

    @rule(path=PATHS)
    def write(self, path: str) -> None:
        before = dict(self.versions)
        self.calls += 1
        try:
            response = self.client.put(path, timeout=5.0)
        except httpx.TransportError:
            response = None
        if (
            self.versions != before
            or (response is not None and response.status_code == 503)
            or self.server == "hanging"
        ):
            for affected in ("/a", "/a/b", "/days"):
                if affected == path or affected.startswith(path + "/") or path.rpartition("/")[0] == affected:
                    self.least[affected] = self.versions.get(affected, 0)

    @rule(path=PATHS)
    def data_changes_behind_the_caches_back(self, path: str) -> None:
        self.versions[path] = self.versions.get(path, 0) + 1

    @rule(path=st.sampled_from(["/a", "/a/b", "/days", "/"]), soft=st.booleans())
    def invalidate(self, path: str, soft: bool) -> None:
        self.client.cache.invalidate(path, soft=soft)
        if not soft:
            for affected in ("/a", "/a/b", "/days"):
                if path == "/" or affected == path or affected.startswith(path + "/"):
                    self.least[affected] = self.versions.get(affected, 0)

    @rule(state=st.sampled_from(["up", "up", "down", "hanging", "failing"]))
    def the_server_changes(self, state: str) -> None:
        self.server = state

    @rule(seconds=st.sampled_from([1.0, 6.0, 29.0, 70.0, 101.0, 150.0, 400.0, 50_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def a_refresh_begins(self) -> None:
        if self.refreshes.waiting:
            fetch = self.client.cache._engine.refresh(self.refreshes.waiting.pop(0))
            if fetch is not None:
                self.under_way.append(fetch)

    @rule()
    def a_refresh_runs(self) -> None:
        if self.under_way:
            self.arrive(self.under_way[0])
        elif self.refreshes.waiting:
            self.refreshes.go()

    @invariant()
    def every_call_is_counted_once(self) -> None:
        stats = self.client.cache.stats
        assert stats.requests == self.calls
        assert stats.lookups <= self.gets

    @invariant()
    def one_refresh_of_a_key_at_a_time(self) -> None:
        table = self.client.cache._engine.storage.flights
        keys = [stale.key for stale in self.refreshes.waiting]
        # A write makes one that is under way old; only then may there be a second.
        keys += [fetch.flight.key for fetch in self.under_way if table.open.get(fetch.flight.key) is fetch.flight]
        assert len(keys) == len(set(keys)) == len(table)

    def teardown(self) -> None:
        self.client.close()


TestStaleServingAgainstItsModel = StaleMachine.TestCase


def count_twice(self: Core, status: str) -> None:
    setattr(self.counters, status, getattr(self.counters, status) + (2 if status == "stale" else 1))


MUTANTS: dict[str, tuple[Any, str, Any]] = {
    "what is shared may be past its TTL": (Core, "may_share", lambda self, entry, prepared, age: True),
    "a stale answer is counted twice": (Core, "_count", count_twice),
    "what is dirtied may be served stale": (Coherence, "is_dirtied", lambda self, held, asked=(): False),
    "the window has no end": (
        Staleness,
        "may_serve_stale",
        lambda self, entry, prepared, view, window: not self.storage.coherence.is_dirtied(entry, prepared.tags),
    ),
    "who asks for a new answer may get a stale one": (
        Staleness,
        "may_serve_stale",
        lambda self, entry, prepared, view, window: (
            0.0 <= view.now - entry.began < entry.ttl + window
            and not self.storage.coherence.is_dirtied(entry, prepared.tags)
        ),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_machine_finds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same machine fails when one rule is taken out."""
    owner, method, replacement = MUTANTS[name]
    monkeypatch.setattr(owner, method, replacement)
    hunting = settings(
        settings.get_profile("ci"),
        max_examples=400,
        phases=[Phase.generate],
        print_blob=False,
        report_multiple_bugs=False,
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(StaleMachine, settings=hunting)
