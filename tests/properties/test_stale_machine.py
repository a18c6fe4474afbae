"""Stale serving in any order of reads, writes, outages, purges and time, against a model of what may be shown.

Never beyond the window; never what a write has dirtied; one refresh at a time.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from pywats_cache import CacheClient, Controller, MemoryStorage, Read
from pywats_cache.coherence import Coherence
from pywats_cache.staleness import Staleness
from pywats_cache.testing import FakeClock

PATHS = st.sampled_from(["/a", "/a/b", "/days"])
TTL, REVALIDATE, IF_ERROR, OFFLINE, DAYS, DOWN = 100.0, 30.0, 200.0, 1000.0, 90_000.0, 5.0


def window(path: str, reason: str) -> float:
    """Seconds after the TTL for which this reason allows an answer."""
    offline = DAYS if path == "/days" else OFFLINE
    return {"while-revalidate": REVALIDATE, "if-error": IF_ERROR, "offline": offline}[reason]


class Refreshes:
    """In the place of the threads: a refresh runs when the machine says so."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def start(self, fetch: Any) -> bool:
        self.waiting.append(fetch)
        return True

    def close(self) -> list[Any]:
        return self.waiting


class StaleMachine(RuleBasedStateMachine):
    """`versions[path]` is the server's data, `least[path]` what a read may show at least after a completed write."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.server = "up"
        self.versions: dict[str, int] = {}
        self.least: dict[str, int] = {}
        self.asked = 0
        controller = Controller(
            [Read("/days", offline_for=DAYS)],
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
        self.refreshes = Refreshes()
        self.client.cache._threads = self.refreshes

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

    @rule(path=PATHS)
    def read(self, path: str) -> None:
        before = self.asked
        try:
            response = self.client.get(path)
        except httpx.TransportError:
            event("an error reached the caller")
            assert self.server in ("down", "hanging")
            return
        outcome = response.extensions["pywats_cache"]
        event(f"{outcome.status}: {outcome.reason}")
        if response.status_code == 503:
            assert self.server == "failing"
            return
        assert self.least.get(path, 0) <= int(response.text) <= self.versions.get(path, 0)
        assert outcome.age >= 0
        if outcome.status == "hit":
            assert outcome.age < TTL
        elif outcome.status == "stale":
            assert outcome.age < TTL + window(path, outcome.reason)
            assert outcome.reason != "while-revalidate" or self.asked == before
        else:
            assert outcome.status in ("miss", "revalidated", "collapsed")
            assert int(response.text) == self.versions.get(path, 0)
            assert self.server == "up"

    @rule(path=PATHS)
    def refresh(self, path: str) -> None:
        """Who asks for a new answer gets one, or the error."""
        try:
            response = self.client.get(path, extensions={"pywats_cache": {"refresh": True}})
        except httpx.TransportError:
            return
        assert response.extensions["pywats_cache"].status in ("miss", "revalidated")
        assert response.status_code == 503 or int(response.text) == self.versions.get(path, 0)

    @rule(path=PATHS)
    def write(self, path: str) -> None:
        before = dict(self.versions)
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
    def a_refresh_runs(self) -> None:
        if self.refreshes.waiting:
            self.client.cache._refresh(self.refreshes.waiting.pop(0))

    @invariant()
    def one_refresh_of_a_key_at_a_time(self) -> None:
        keys = [stale.key for stale in self.refreshes.waiting]
        assert len(keys) == len(set(keys)) == len(self.client.cache._engine.storage.flights)

    def teardown(self) -> None:
        self.client.close()


TestStaleServingAgainstItsModel = StaleMachine.TestCase

MUTANTS: dict[str, tuple[Any, str, Any]] = {
    "what is dirtied may be served stale": (Coherence, "dirtied_since", lambda self, tags, epoch: False),
    "the window has no end": (
        Staleness,
        "may_serve_stale",
        lambda self, entry, prepared, now, window: (
            not self.storage.coherence.dirtied_since((*entry.tags, *prepared.tags), entry.epoch)
        ),
    ),
    "who asks for a new answer may get a stale one": (
        Staleness,
        "may_serve_stale",
        lambda self, entry, prepared, now, window: (
            0.0 <= now - entry.began < entry.ttl + window
            and not self.storage.coherence.dirtied_since((*entry.tags, *prepared.tags), entry.epoch)
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
