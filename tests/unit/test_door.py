"""Lookups: when the cache answers before the client builds a request, and when it leaves that to the client."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import CacheOutcome, Controller, MemoryStorage, Read
from pywats_cache.testing import FakeClock

Outcome = Callable[[Any], CacheOutcome]
Make = Callable[..., Any]


@pytest.fixture
def make(lib: SimpleNamespace, origin: Any, clock: FakeClock) -> Iterator[Make]:
    clients = []

    def make(*, cls: Any = None, **options: Any) -> Any:
        options = {"transport": origin.transport, "clock": clock, "base_url": "http://origin", **options}
        clients.append((cls or lib.CacheClient)(**options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(make: Make) -> Any:
    return make()


def lookups(client: Any) -> int:
    return client.cache.stats.lookups


def test_a_plain_hit_is_a_lookup(client: Any, outcome: Outcome, clock: FakeClock) -> None:
    miss = client.get("/a")
    assert lookups(client) == 0
    clock.advance(3)
    hit = client.get("/a")
    assert outcome(hit) == CacheOutcome("hit", "fresh", 3.0, 300.0, outcome(miss).key, True, "default")
    stats = client.cache.stats
    assert (stats.hits, stats.lookups, stats.misses, stats.requests) == (1, 1, 1, 2)


def test_the_response_of_a_lookup_is_as_ever(client: Any, lib: SimpleNamespace, make: Make, origin: Any) -> None:
    origin.reply = {"json": {"a": [1]}, "headers": {"X-Case": "1"}}
    client = make(headers={"X-All": "1"}, params={"all": "1"})
    client.get("/a", params={"x": "1"}, headers={"X-One": "1"})
    response = client.get("/a", params={"x": "1"}, headers={"X-One": "1"})
    assert lookups(client) == 1
    assert isinstance(response, lib.http.Response)
    assert str(response.url) == str(response.request.url) == str(origin.requests[0].url)
    assert response.request.method == "GET"
    assert response.request.headers == origin.requests[0].headers
    assert response.json() == {"a": [1]}
    assert response.headers["x-case"] == "1"
    assert response.is_closed
    assert response.elapsed.total_seconds() >= 0
    assert response.raise_for_status() is response
    assert (response.history, response.num_bytes_downloaded) == ([], len(response.content))


def test_the_request_of_a_lookup_is_the_callers_own(client: Any) -> None:
    client.get("/a")
    one, two = client.get("/a"), client.get("/a")
    one.request.headers["x-poison"] = "1"
    one.request.extensions["poison"] = 1
    assert "x-poison" not in two.request.headers
    assert "poison" not in two.request.extensions
    assert "x-poison" not in client.get("/a").request.headers
    assert one.request is one.request


def test_the_response_of_a_lookup_survives_pickling(client: Any, origin: Any) -> None:
    origin.reply = {"json": {"a": [1]}}
    client.get("/a", headers={"X-Mine": "1"})
    hit = client.get("/a", headers={"X-Mine": "1"})
    assert lookups(client) == 1
    copy = pickle.loads(pickle.dumps(hit))
    assert (copy.json(), copy.status_code, copy.headers) == ({"a": [1]}, 200, hit.headers)
    assert str(copy.request.url) == "http://origin/a"
    assert copy.request.headers["x-mine"] == "1"
    assert copy.elapsed == hit.elapsed


def test_the_response_of_a_lookup_reads_like_one_that_was_read(client: Any, lib: SimpleNamespace) -> None:
    client.get("/a")
    hit = client.get("/a")
    assert lookups(client) == 1
    assert hit.read() == hit.content == b"".join(hit.iter_bytes()) == b"1"
    assert "".join(hit.iter_text()) == "1"
    assert list(hit.iter_lines()) == ["1"]
    with pytest.raises(lib.http.StreamConsumed):
        next(hit.iter_raw())
    hit.close()


def test_nothing_a_caller_does_to_a_lookup_changes_the_next(client: Any, origin: Any) -> None:
    origin.reply = {"json": {"a": [1]}, "headers": {"X-Case": "1"}}
    client.get("/a")
    for count in range(1, 4):
        hit = client.get("/a")
        assert lookups(client) == count
        assert hit.json() == {"a": [1]}
        assert hit.headers["x-case"] == "1"
        assert hit.status_code == 200
        assert hit.history == []
        assert hit.extensions["pywats_cache"].status == "hit"
        hit.json()["a"].append(2)
        hit.headers["X-Case"] = "poison"
        hit.extensions.clear()
        hit.status_code = 500
        hit.history.append(hit)
        hit._content = b"poison"


def test_a_lookup_takes_the_default_encoding_of_its_client(make: Make, origin: Any) -> None:
    origin.reply = lambda request: origin.http.Response(
        200, content="Ä".encode("latin-1"), headers={"Content-Type": "text/plain"}
    )
    client = make(default_encoding="latin-1")
    assert [client.get("/a").text for _ in range(2)] == ["Ä", "Ä"]
    assert lookups(client) == 1


def decline(client: Any, **options: Any) -> Any:
    """A hit that is no lookup."""
    before = client.cache.stats
    response = client.get("/a", **options)
    after = client.cache.stats
    assert after.lookups == before.lookups, "the client was passed by"
    return response


def test_cookies_in_the_jar_leave_it_to_the_client(client: Any, origin: Any) -> None:
    client.get("/a")
    client.cookies.set("session", "1")
    assert decline(client).text == "2"
    assert origin.requests[-1].headers["cookie"] == "session=1"
    assert decline(client).text == "2"
    client.cookies.clear()
    assert client.get("/a").text == "1"
    assert lookups(client) == 1


def test_auth_of_the_client_leaves_it_to_the_client(client: Any, origin: Any) -> None:
    for _ in range(3):
        client.get("/a")  # what is stored for nobody is not for this user
    before = lookups(client)
    client.auth = ("user", "pw")
    assert decline(client).text == "2"
    assert origin.requests[-1].headers["authorization"].startswith("Basic ")
    assert decline(client).text == "2"
    client.auth = None
    assert client.get("/a").text == "1"
    assert lookups(client) == before + 1


@pytest.mark.parametrize(
    "options", [{"auth": ("u", "p")}, {"cookies": {"a": "b"}}, {"extensions": {}}, {"extensions": {"pywats_cache": {}}}]
)
@pytest.mark.filterwarnings("ignore:Setting per-request cookies:DeprecationWarning")
def test_options_that_matter_leave_it_to_the_client(client: Any, options: Any) -> None:
    client.get("/a", **options)
    client.get("/a")
    decline(client, **options)


@pytest.mark.parametrize("options", [{"timeout": 5}, {"follow_redirects": True}, {"timeout": None}])
def test_options_that_do_not_matter_to_a_hit_are_looked_up(client: Any, options: Any) -> None:
    client.get("/a")
    assert client.get("/a", **options).text == "1"
    assert lookups(client) == 1


@pytest.mark.parametrize("kind", ["request", "response"])
def test_event_hooks_are_called(client: Any, kind: str) -> None:
    seen: list[Any] = []
    client.get("/a")
    client.event_hooks = {kind: [seen.append]}
    decline(client)
    assert len(seen) == 1
    client.event_hooks = {}
    client.get("/a")
    assert lookups(client) == 1


def test_info_logging_of_the_library_goes_on(
    client: Any, lib: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/a")
    with caplog.at_level(logging.INFO, lib.name):
        decline(client)
        assert "HTTP Request: GET http://origin/a" in caplog.text
    client.get("/a")
    assert lookups(client) == 1


@pytest.mark.parametrize("name", ["send", "build_request", "request"])
def test_an_overridden_method_is_called(make: Make, lib: SimpleNamespace, name: str) -> None:
    calls: list[str] = []

    def override(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(name)
        return getattr(lib.CacheClient, name)(self, *args, **options)

    client = make(cls=type("Mine", (lib.CacheClient,), {name: override}))
    client.get("/a")
    decline(client)
    assert calls == [name] * 2


@pytest.mark.parametrize("name", ["send", "build_request", "request"])
def test_a_method_replaced_on_the_client_is_called(client: Any, name: str) -> None:
    client.get("/a")
    calls: list[str] = []
    original = getattr(client, name)

    def replaced(*args: Any, **options: Any) -> Any:
        calls.append(name)
        return original(*args, **options)

    setattr(client, name, replaced)
    decline(client)
    assert calls == [name]


def test_a_closed_client_refuses_as_ever(client: Any) -> None:
    client.get("/a")
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.get("/a")
    assert client.lookup("GET", "/a") is None


@pytest.mark.parametrize("headers", [{"Range": "bytes=0-"}, {"Cache-Control": "no-cache"}, {"If-None-Match": "x"}])
def test_headers_that_bypass_or_refresh_leave_it_to_the_client(client: Any, headers: Any) -> None:
    client.get("/a")
    assert decline(client, headers=headers).text == "2"


def test_a_url_object_leaves_it_to_the_client(client: Any, lib: SimpleNamespace) -> None:
    client.get("/a")
    assert client.get(lib.http.URL("/a")).text == "1"
    assert lookups(client) == 0


def test_userinfo_leaves_it_to_the_client(make: Make) -> None:
    client = make()
    for _ in range(2):
        client.get("http://user:pw@origin/a")
    client.base_url = "http://user:pw@origin"
    for _ in range(2):
        client.get("/a")
    assert lookups(client) == 0


def test_a_partition_function_leaves_it_to_the_client(make: Make) -> None:
    user = ["one"]
    client = make(controller=Controller(partition=lambda headers: user[0]))
    client.get("/a")
    user[0] = "two"
    assert decline(client).text == "2"


def test_a_mount_of_another_engine_leaves_it_to_the_client(make: Make, lib: SimpleNamespace, origin: Any) -> None:
    client = make(mounts={"http://own": lib.CacheTransport(origin.transport), "http://off": None})
    for _ in range(2):
        client.get("http://own/a")
        client.get("http://off/a")
        client.get("http://origin/a")
    assert lookups(client) == 2, "a mount of None is the default transport; the other is another cache's"


def test_a_bare_mount_is_looked_up(make: Make, origin: Any) -> None:
    client = make(mounts={"http://special": origin.transport})
    for _ in range(2):
        client.get("http://special/a")
    assert lookups(client) == 1


def test_expired_dirtied_and_unknown_are_left_to_the_client_and_nothing_changed(
    make: Make, clock: FakeClock, origin: Any
) -> None:
    client = make(storage=MemoryStorage(max_entries=2))
    client.get("/old")
    clock.advance(200)
    client.get("/new")
    clock.advance(200)
    before = client.cache.stats
    order = list(client.cache.storage.table.items)
    assert client.lookup("GET", "/old") is None
    assert client.lookup("GET", "/unknown") is None
    client.cache.storage.coherence.bump_all()
    assert client.lookup("GET", "/new") is None
    assert client.cache.stats == before
    assert list(client.cache.storage.table.items) == order
    assert origin.count == 2


def test_a_lookup_is_a_use_of_the_entry(make: Make) -> None:
    client = make(storage=MemoryStorage(max_entries=2))
    client.get("/a")
    client.get("/b")
    assert client.lookup("GET", "/a") is not None
    client.get("/c")
    assert client.get("/a").text == "1"
    assert client.get("/b").text == "4"


def test_a_lookup_shows_what_is_stored(client: Any) -> None:
    client.get("/a")
    found = client.lookup("GET", "/a")
    assert (found.status, found.content) == (200, b"1")
    stats = client.cache.stats
    assert (stats.hits, stats.lookups) == (1, 1)


def test_a_clock_set_back_revives_nothing(client: Any, clock: FakeClock) -> None:
    client.get("/a")
    clock.advance(400)
    client.get("/other")
    clock.advance(-300)
    assert client.get("/a").text == "3"


def test_only_a_200_is_looked_up(make: Make, origin: Any) -> None:
    client = make(controller=Controller([Read("/a", statuses=(404,))]))
    origin.reply = {"status_code": 404}
    client.get("/a")
    assert decline(client).status_code == 404
    assert origin.count == 1


def test_variants_are_looked_up_by_their_headers(client: Any, origin: Any) -> None:
    origin.reply = {"headers": {"Vary": "X-Mode"}}
    for mode in "12":
        client.get("/a", headers={"X-Mode": mode})
    assert [client.get("/a", headers={"X-Mode": mode}).text for mode in "12"] == ["1", "2"]
    assert lookups(client) == 2


def test_what_the_client_sends_with_each_request_is_part_of_the_key(client: Any) -> None:
    assert client.get("/a").text == "1"
    client.headers["Authorization"] = "one"
    assert client.get("/a").text == "2"
    assert client.get("/a").text == "2"
    client.headers["Authorization"] = "two"
    assert client.get("/a").text == "3"
    del client.headers["Authorization"]
    assert client.get("/a").text == "1"
    client.params = {"x": "1"}
    assert client.get("/a").text == "4"
    client.base_url = "http://elsewhere"
    assert client.get("/a").text == "5"
    client.params = {}
    client.base_url = "http://origin"
    assert client.get("/a").text == "1"


def test_values_of_parameters_count_with_their_type(client: Any) -> None:
    sent = [{"a": 1}, {"a": True}, {"a": "1"}, {"a": "true"}, {"a": None}, {"a": ""}, {}]
    texts = [client.get("/a", params=params).text for params in sent]
    assert texts == ["1", "2", "1", "2", "3", "3", "4"], "as httpx writes them: a=1, a=true, a="
    assert [client.get("/a", params=params).text for params in sent] == texts


@pytest.mark.parametrize("params", [[("a", "1")], "a=1", {"a": 1.5}, {"a": ["1", "2"]}, (("a", "1"),)])
def test_parameters_of_other_types_are_left_to_the_client(client: Any, params: Any) -> None:
    client.get("/a", params=params)
    assert client.get("/a", params=params).text == "1"
    assert lookups(client) == 0


def test_headers_of_one_call_are_part_of_the_key(client: Any) -> None:
    client.get("/a", headers={"Authorization": "one"})
    assert client.get("/a", headers={"Authorization": "two"}).text == "2"
    assert client.get("/a", headers={"authorization": "one"}).text == "1"
    assert client.get("/a", headers=[("Authorization", "two")]).text == "2"


def test_a_post_that_reads_is_looked_up_by_its_body(make: Make) -> None:
    client = make(controller=Controller([Read("/q", methods=("POST",))]))
    client.post("/q", json={"part": "A", "n": 1})
    client.post("/q", content=b"raw")
    client.post("/q", content="text")
    assert client.lookup("POST", "/q", json={"part": "A", "n": 1}).content == b"1"
    assert client.lookup("POST", "/q", content=b"raw").content == b"2"
    assert client.lookup("POST", "/q", content=b"text").content == b"3"
    assert client.lookup("POST", "/q", json={"part": "A", "n": True}) is None
    assert client.lookup("POST", "/q", json={"n": 1, "part": "A"}) is None
    assert client.lookup("POST", "/q") is None
    assert client.lookup("POST", "/q", content=b"raw", json={"part": "A", "n": 1}) is None


def test_a_write_and_a_head_are_no_lookups(client: Any) -> None:
    client.get("/a")
    assert client.lookup("PUT", "/a") is None
    assert client.lookup("HEAD", "/a") is None
    assert client.lookup("OPTIONS", "/a") is None


def test_what_cannot_be_a_request_is_left_to_the_client(client: Any) -> None:
    for url in ("http://[", "no-scheme://x", "\x00"):
        assert client.lookup("GET", url) is None


def test_more_calls_than_the_memo_holds_still_answer_right(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pywats_cache.door.MAX_MEMO", 3)
    client = make()
    for _ in range(2):
        assert [client.get(f"/{n}").text for n in range(10)] == [str(n + 1) for n in range(10)]
    assert len(client._door._memo) <= 3


@pytest.mark.anyio
async def test_an_async_lookup_does_not_suspend(lib: SimpleNamespace, origin: Any) -> None:
    async with lib.AsyncCacheClient(transport=origin.transport, base_url="http://origin") as client:
        await client.get("/a")
        coroutine = client.get("/a")
        with pytest.raises(StopIteration) as stopped:
            coroutine.send(None)
        response = stopped.value.value
        assert response.text == "1"
        assert await response.aread() == b"1"
        assert str(response.url) == "http://origin/a"
        stats = client.cache.stats
        assert (stats.hits, stats.lookups, stats.requests) == (1, 1, 2)
        client.cookies.set("a", "b")
        assert (await client.get("/a")).text == "2"
        assert client.cache.stats.lookups == 1


class Held:
    """In the place of the refreshing threads: takes refreshes and lets a test decide when they run."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def start(self, fetch: Any) -> bool:
        self.waiting.append(fetch)
        return True

    def close(self) -> list[Any]:
        return self.waiting


SWR = Controller(ttl=10.0, stale_while_revalidate=60.0)


def stale_client(make: Make, clock: FakeClock, **options: Any) -> tuple[Any, Held]:
    """A client with an answer past its TTL, whose lookups have been learnt."""
    client = make(**{"controller": SWR, **options})
    client.cache._threads = held = Held()
    client.get("/a"), client.get("/a")
    assert lookups(client) == 1
    clock.advance(11)
    return client, held


def test_a_stale_answer_is_looked_up_and_the_first_one_starts_a_refresh(
    make: Make, clock: FakeClock, outcome: Outcome, origin: Any
) -> None:
    client, held = stale_client(make, clock)
    started = client.get("/a")
    assert (outcome(started)[:3], lookups(client)) == (("stale", "while-revalidate", 11.0), 2)
    assert len(held.waiting) == 1
    looked_up = client.get("/a")
    assert outcome(looked_up) == outcome(started)
    assert (looked_up.text, looked_up.is_closed) == (started.text, True)
    stats = client.cache.stats
    assert (stats.stale, stats.lookups, stats.hits, stats.misses, stats.requests) == (2, 3, 1, 1, 4)
    assert len(held.waiting) == 1
    client.cache._refresh(held.waiting.pop())
    assert outcome(client.get("/a")).status == "hit"
    assert origin.count == 2
    assert origin.requests[1].headers == origin.requests[0].headers


def test_a_refresh_sends_a_request_of_its_own(make: Make, clock: FakeClock, origin: Any) -> None:
    client, held = stale_client(make, clock)
    client.get("/a")
    client.cache._refresh(held.waiting.pop())
    origin.requests[1].headers["X-Poison"] = "1"  # as a next transport may
    clock.advance(11)
    client.get("/a")
    client.cache._refresh(held.waiting.pop())
    assert "X-Poison" not in origin.requests[2].headers


def test_a_refresh_goes_by_the_transport_that_is_mounted_now(
    make: Make, clock: FakeClock, lib: SimpleNamespace
) -> None:
    client, held = stale_client(make, clock)
    client._mounts = {lib.http._utils.URLPattern("all://"): lib.http.HTTPTransport()}
    assert client.get("/a").extensions["pywats_cache"].status == "stale"
    assert held.waiting == [], "that is no transport of this cache"
    assert len(client.cache.storage.flights) == 0


def test_a_hit_near_its_end_is_looked_up_and_starts_a_refresh(make: Make, clock: FakeClock, outcome: Outcome) -> None:
    ahead = Controller(ttl=10.0, rules=[Read("/a", ttl=20.0, refresh_ahead=0.5)])
    client, held = stale_client(make, clock, controller=ahead)
    assert outcome(client.get("/a"))[:3] == ("hit", "ahead", 11.0)
    assert (lookups(client), len(held.waiting)) == (2, 1)
    assert outcome(client.get("/a")).reason == "ahead"
    assert (lookups(client), len(held.waiting), client.cache.stats.hits) == (3, 1, 3)


def test_a_lookup_near_its_end_is_a_use_of_the_entry(make: Make, clock: FakeClock) -> None:
    ahead = Controller([Read("/a", ttl=20.0, refresh_ahead=0.5)])
    client, _ = stale_client(make, clock, controller=ahead, storage=MemoryStorage(max_entries=2))
    client.get("/b")
    client.get("/a")
    assert lookups(client) == 2
    assert [entry.hits for entry in client.cache.storage.table.items.values()] == [0, 2]
    client.get("/c")
    assert client.get("/a").text == "1"


@pytest.mark.parametrize("door", [True, False])
def test_nothing_is_refreshed_where_the_server_must_not_be_asked(make: Make, clock: FakeClock, door: bool) -> None:
    storage = MemoryStorage()
    make(storage=storage, controller=SWR).get("/a")
    clock.advance(11)
    only = Controller(ttl=10.0, stale_while_revalidate=60.0, offline="only", offline_for=0.0)
    client = make(storage=storage, controller=only)
    client.cache._threads = held = Held()
    client.lookup("GET", "/a")
    response = client.get("/a") if door else client.request("GET", "/a")
    assert (response.extensions["pywats_cache"].status, lookups(client)) == ("stale", int(door))
    assert held.waiting == []


def test_a_refresh_has_the_timeouts_that_the_client_has_now(make: Make, clock: FakeClock) -> None:
    client, held = stale_client(make, clock)
    client.timeout = 7.0
    assert client.get("/a").request.extensions["timeout"]["read"] == 7.0
    (stale,) = held.waiting
    assert stale.request.extensions["timeout"]["read"] == 7.0


def test_a_refresh_that_may_not_be_started_is_done_with(make: Make, clock: FakeClock, outcome: Outcome) -> None:
    client, held = stale_client(make, clock)
    held.start = lambda fetch: False  # type: ignore[method-assign]
    assert outcome(client.get("/a")).status == "stale"
    assert len(client.cache.storage.flights) == 0


def test_what_starts_a_refresh_is_in_the_journal(make: Make, clock: FakeClock) -> None:
    client, _ = stale_client(make, clock)
    before = len(client.cache._engine.journal.recent)
    client.get("/a")
    event = client.cache._engine.journal.recent[-1]
    assert (len(client.cache._engine.journal.recent), event.status, event.method) == (before + 1, "stale", "GET")


def test_a_call_with_a_timeout_of_its_own_leaves_the_refresh_to_the_ordinary_way(make: Make, clock: FakeClock) -> None:
    client, held = stale_client(make, clock)
    client.get("/a", timeout=7.0)
    assert lookups(client) == 1
    (stale,) = held.waiting
    assert stale.request.extensions["timeout"]["read"] == 7.0


def test_a_stale_answer_is_looked_up_while_its_refresh_is_held_back(
    make: Make, clock: FakeClock, outcome: Outcome, lib: SimpleNamespace, origin: Any
) -> None:
    client, held = stale_client(make, clock)
    client.get("/a")

    def refuse(request: Any) -> Any:
        raise lib.http.ConnectError("refused")

    origin.reply = refuse
    client.cache._refresh(held.waiting.pop())
    assert outcome(client.get("/a")).status == "stale"
    assert (lookups(client), held.waiting) == (3, [])
    clock.advance(1)  # the back-off is over: the next call starts a refresh
    assert outcome(client.get("/a")).status == "stale"
    assert (lookups(client), len(held.waiting)) == (4, 1)


def test_a_stale_answer_is_looked_up_while_the_server_is_known_to_be_away(
    make: Make, clock: FakeClock, outcome: Outcome, lib: SimpleNamespace, origin: Any
) -> None:
    client, _ = stale_client(make, clock, controller=Controller(ttl=10.0, offline="auto", offline_for=3600.0))

    def refuse(request: Any) -> Any:
        raise lib.http.ConnectError("refused")

    origin.reply = refuse
    assert outcome(client.get("/a")).reason == "offline"
    assert lookups(client) == 1
    assert outcome(client.get("/a"))[:2] == ("stale", "offline")
    assert (lookups(client), origin.count) == (2, 2)


@pytest.mark.parametrize("how", ["dirtied", "past its window"])
def test_what_may_not_be_served_stale_is_not_looked_up(make: Make, clock: FakeClock, how: str) -> None:
    client, held = stale_client(make, clock)
    client.get("/a")
    assert client._door.answer("/a", {}) is not None
    if how == "dirtied":
        client.cache.invalidate("/a")
    else:
        client.cache._engine.refused(held.waiting.pop())
        clock.advance(60)
    before = client.cache.stats
    assert client._door.answer("/a", {}) is None
    assert client.cache.stats == before


def test_who_takes_stored_answers_themselves_never_gets_a_stale_one(make: Make, clock: FakeClock) -> None:
    client, _ = stale_client(make, clock)
    client.get("/a")
    before = client.cache.stats
    assert client.lookup("GET", "/a") is None
    assert client.cache.stats == before


def test_rfc_mode_leaves_stale_answers_to_the_ordinary_way(make: Make, clock: FakeClock, origin: Any) -> None:
    origin.reply = {"headers": {"Cache-Control": "max-age=10, stale-while-revalidate=60"}}
    client, held = stale_client(make, clock, controller=Controller(rfc9111=True))
    for _ in range(3):
        assert client.get("/a").extensions["pywats_cache"].status == "stale"
    assert (lookups(client), len(held.waiting)) == (1, 1)


def test_the_second_call_is_looked_up_without_building_a_request(
    client: Any, monkeypatch: pytest.MonkeyPatch, origin: Any
) -> None:
    first = client.get("/a", headers={"X-One": "1"})
    first.request.headers["X-Poison"] = "1"
    with monkeypatch.context() as patched:
        patched.setattr(client._door._client, "_merge_url", None)  # what building a request begins with
        second = client.get("/a", headers={"X-One": "1"})
    assert lookups(client) == 1
    assert "X-Poison" not in second.request.headers
    assert second.request.headers["X-One"] == "1"
    assert second.request.extensions == first.request.extensions


def test_a_call_with_timeouts_of_its_own_teaches_nothing(client: Any) -> None:
    client.get("/a", timeout=7.0)
    looked_up = client.get("/a")
    assert lookups(client) == 1
    assert looked_up.request.extensions["timeout"]["read"] == 5.0


@pytest.mark.parametrize("header", ["Authorization", "X-Mode"])
def test_a_request_that_the_next_transport_changed_teaches_nothing(
    make: Make, lib: SimpleNamespace, origin: Any, header: str
) -> None:
    class Changing(lib.http.BaseTransport):
        def handle_request(self, request: Any) -> Any:
            request.headers[header] = "its own"
            return origin.transport.handle_request(request)

    client = make(transport=Changing())
    client.get("/a")
    looked_up = client.get("/a")
    assert lookups(client) == 1
    assert header not in looked_up.request.headers
