"""The synchronous transport: waiting for another's fetch, handing over, and the next transport."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import CacheOutcome, Controller, Read

Outcome = Callable[[Any], CacheOutcome]
LONG = 30  # seconds; a test that waits this long has failed


class Gate:
    """Holds every request at the origin until it is opened; says when one has arrived."""

    def __init__(self, origin: Any, answer: Callable[[int, Any], Any] | None = None) -> None:
        self.origin = origin
        self.answer = answer or (lambda count, request: origin.http.Response(200, text=str(count)))
        self.arrived = threading.Semaphore(0)
        self.opened = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.count = 0
        origin.reply = self

    def __call__(self, request: Any) -> Any:
        with self.lock:
            self.count += 1
            count = self.count
        self.arrived.release()
        assert self.opened.acquire(timeout=LONG)
        return self.answer(count, request)

    def wait(self, times: int = 1) -> None:
        for _ in range(times):
            assert self.arrived.acquire(timeout=LONG)

    def open(self, times: int = 1) -> None:
        for _ in range(times):
            self.opened.release()


class Callers:
    """Starts requests in threads."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.pool = ThreadPoolExecutor(16)

    def get(self, path: str = "/a", **options: Any) -> Future[Any]:
        return self.pool.submit(self.client.get, path, **options)


@pytest.fixture
def callers(client: Any) -> Any:
    made = Callers(client)
    yield made
    made.pool.shutdown()


def wait(semaphore: threading.Semaphore, times: int = 1) -> None:
    for _ in range(times):
        assert semaphore.acquire(timeout=LONG)


def test_concurrent_misses_of_one_key_are_one_request(
    callers: Callers, origin: Any, joined: threading.Semaphore, outcome: Outcome
) -> None:
    gate = Gate(origin)
    leader = callers.get()
    gate.wait()
    others = [callers.get() for _ in range(7)]
    wait(joined, 7)
    gate.open()
    responses = [future.result(LONG) for future in (leader, *others)]
    assert [response.text for response in responses] == ["1"] * 8
    assert [outcome(response)[:2] for response in responses] == [("miss", "unknown")] + [("collapsed", "joined")] * 7
    assert gate.count == 1
    stats = callers.client.cache.stats
    assert (stats.misses, stats.collapsed, stats.requests) == (1, 7, 8)
    assert len({id(response) for response in responses}) == 8


def test_the_answer_of_a_joiner_is_its_own(callers: Callers, origin: Any, joined: threading.Semaphore) -> None:
    gate = Gate(origin)
    futures = [callers.get()]
    gate.wait()
    futures += [callers.get(headers={"X-Mine": str(n)}) for n in range(2)]
    wait(joined, 2)
    gate.open()
    one, two = (future.result(LONG) for future in futures[1:])
    one.headers["x-poison"] = "1"
    assert "x-poison" not in two.headers
    assert {one.request.headers["x-mine"], two.request.headers["x-mine"]} == {"0", "1"}
    assert one.elapsed.total_seconds() > 0


def test_other_keys_do_not_wait(callers: Callers, origin: Any) -> None:
    gate = Gate(origin)
    first = callers.get("/a")
    gate.wait()
    second = callers.get("/b")
    gate.wait()
    gate.open(2)
    assert {first.result(LONG).text, second.result(LONG).text} == {"1", "2"}


def test_other_credentials_do_not_wait(callers: Callers, origin: Any) -> None:
    gate = Gate(origin)
    first = callers.get(headers={"Authorization": "one"})
    gate.wait()
    second = callers.get(headers={"Authorization": "two"})
    gate.wait()
    gate.open(2)
    assert {first.result(LONG).text, second.result(LONG).text} == {"1", "2"}


def test_a_failed_leader_hands_over_to_one_of_the_joiners(
    callers: Callers, origin: Any, lib: SimpleNamespace, joined: threading.Semaphore, outcome: Outcome
) -> None:
    def answer(count: int, request: Any) -> Any:
        if count == 1:
            raise lib.http.ReadError("broken", request=request)
        return lib.http.Response(200, text=str(count))

    gate = Gate(origin, answer)
    leader = callers.get()
    gate.wait()
    others = [callers.get() for _ in range(4)]
    wait(joined, 4)
    gate.open()
    with pytest.raises(lib.http.ReadError):
        leader.result(LONG)
    gate.wait()
    wait(joined, 3)
    gate.open()
    responses = [future.result(LONG) for future in others]
    assert [response.text for response in responses] == ["2"] * 4
    assert sorted(outcome(response).status for response in responses) == ["collapsed"] * 3 + ["miss"]
    assert gate.count == 2


def test_an_uncacheable_answer_lets_all_joiners_go_in_parallel(
    callers: Callers, origin: Any, lib: SimpleNamespace, joined: threading.Semaphore, outcome: Outcome
) -> None:
    gate = Gate(
        origin, lambda count, request: lib.http.Response(200, text=str(count), headers={"Cache-Control": "no-store"})
    )
    leader = callers.get()
    gate.wait()
    others = [callers.get() for _ in range(3)]
    wait(joined, 3)
    gate.open()
    gate.wait(3)  # all three are at the origin at once, and none is answered yet
    late = callers.get()
    gate.wait()  # for a while that key is not collapsed
    gate.open(4)
    texts = [future.result(LONG).text for future in (leader, *others, late)]
    assert sorted(texts) == ["1", "2", "3", "4", "5"]


def test_a_read_that_begins_after_a_write_joins_no_older_flight(
    callers: Callers, client: Any, origin: Any, outcome: Outcome
) -> None:
    gate = Gate(origin)
    old = callers.get()
    gate.wait()
    client.cache.invalidate("/a")
    new = callers.get()
    gate.wait()
    gate.open(2)
    assert {outcome(old.result(LONG)).status, outcome(new.result(LONG)).status} == {"miss"}
    assert gate.count == 2


def test_a_refresh_does_not_join(callers: Callers, origin: Any) -> None:
    gate = Gate(origin)
    first = callers.get()
    gate.wait()
    second = callers.get(headers={"Cache-Control": "no-cache"})
    gate.wait()
    gate.open(2)
    assert {first.result(LONG).text, second.result(LONG).text} == {"1", "2"}


def test_only_if_cached_does_not_wait(callers: Callers, client: Any, origin: Any) -> None:
    gate = Gate(origin)
    first = callers.get()
    gate.wait()
    assert client.get("/a", extensions={"pywats_cache": {"only_if_cached": True}}).status_code == 504
    gate.open()
    first.result(LONG)


def test_a_joiner_whose_variant_is_another_goes_to_the_server(
    callers: Callers, origin: Any, lib: SimpleNamespace, joined: threading.Semaphore
) -> None:
    gate = Gate(
        origin,
        lambda count, request: lib.http.Response(200, text=request.headers["x-mode"], headers={"Vary": "X-Mode"}),
    )
    leader = callers.get(headers={"X-Mode": "one"})
    gate.wait()
    same, other = callers.get(headers={"X-Mode": "one"}), callers.get(headers={"X-Mode": "two"})
    wait(joined, 2)
    gate.open()
    gate.wait()
    gate.open()
    assert [future.result(LONG).text for future in (leader, same, other)] == ["one", "one", "two"]
    assert gate.count == 2


@pytest.mark.parametrize("bound", ["controller", "caller"])
def test_a_joiner_waits_no_longer_than_it_may(
    cached: Callable[..., Any], origin: Any, outcome: Outcome, bound: str
) -> None:
    client = cached(Controller(join_timeout=0.01 if bound == "controller" else LONG))
    gate = Gate(origin)
    callers = Callers(client)
    leader = callers.get()
    gate.wait()
    follower = callers.get(timeout=LONG if bound == "controller" else 0.01)
    gate.wait()
    gate.open(2)
    assert outcome(follower.result(LONG))[:2] == ("miss", "join-timeout")
    assert leader.result(LONG).status_code == 200
    callers.pool.shutdown()


def test_join_timeout_zero_never_waits(cached: Callable[..., Any], origin: Any, outcome: Outcome) -> None:
    client = cached(Controller(join_timeout=0))
    gate = Gate(origin)
    callers = Callers(client)
    leader = callers.get()
    gate.wait()
    follower = callers.get()
    gate.wait()
    gate.open(2)
    assert outcome(follower.result(LONG)).status == "miss"
    leader.result(LONG)
    callers.pool.shutdown()


def test_two_clients_of_one_storage_collapse_with_each_other(
    cached: Callable[..., Any], origin: Any, joined: threading.Semaphore, outcome: Outcome
) -> None:
    from pywats_cache import MemoryStorage

    storage = MemoryStorage()
    one, two = Callers(cached(storage=storage)), Callers(cached(storage=storage))
    gate = Gate(origin)
    leader = one.get()
    gate.wait()
    follower = two.get()
    wait(joined)
    gate.open()
    assert outcome(follower.result(LONG))[:2] == ("collapsed", "joined")
    assert leader.result(LONG).text == "1"
    one.pool.shutdown()
    two.pool.shutdown()


def test_collapsed_posts_that_read_are_told_apart_by_body(
    cached: Callable[..., Any], origin: Any, joined: threading.Semaphore
) -> None:
    client = cached(Controller([Read("/q", methods=("POST",))]))
    gate = Gate(origin, lambda count, request: origin.http.Response(200, content=request.content))
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(client.post, "/q", content=b"A")
        gate.wait()
        other = pool.submit(client.post, "/q", content=b"B")
        gate.wait()
        same = pool.submit(client.post, "/q", content=b"A")
        wait(joined)
        gate.open(2)
        assert [f.result(LONG).content for f in (first, other, same)] == [b"A", b"B", b"A"]
    assert gate.count == 2


def test_a_response_that_fails_after_its_headers_is_closed(lib: SimpleNamespace) -> None:
    class Broken(lib.http.SyncByteStream):
        closed = False

        def __iter__(self) -> Any:
            yield b"part"
            raise lib.http.ReadError("broken")

        def close(self) -> None:
            self.closed = True

    stream = Broken()
    transport = lib.CacheTransport(
        lib.http.MockTransport(lambda request: lib.http.Response(200, headers={"Content-Length": "9"}, stream=stream))
    )
    with lib.http.Client(transport=transport) as client:
        with pytest.raises(lib.http.ReadError, match="broken"):
            client.get("http://host/a")
        assert stream.closed
        assert transport.stats.entries == 0


def test_a_body_shorter_than_announced_is_handed_on_and_not_stored(client: Any, origin: Any, outcome: Outcome) -> None:
    origin.reply = {"content": b"short", "headers": {"Content-Length": "100"}}
    for count in (1, 2):
        response = client.get("/a")
        assert response.content == b"short"
        assert not outcome(response).stored
        assert origin.count == count


def test_a_body_that_cannot_be_decoded_raises_as_without_the_cache(
    client: Any, origin: Any, lib: SimpleNamespace
) -> None:
    class Raw(lib.http.SyncByteStream):
        def __iter__(self) -> Any:
            yield b"no gzip"

    origin.reply = lambda request: lib.http.Response(
        200, headers={"Content-Encoding": "gzip", "Content-Length": "7"}, stream=Raw()
    )
    for count in (1, 2):
        with pytest.raises(lib.http.DecodingError):
            client.get("/a")
        assert origin.count == count
    with client.stream("GET", "/a") as response:
        assert b"".join(response.iter_raw()) == b"no gzip"
    assert client.cache.stats.entries == 0


def test_closing_the_transport_closes_the_next(lib: SimpleNamespace) -> None:
    calls = []

    class Next(lib.http.BaseTransport):
        def handle_request(self, request: Any) -> Any:
            raise NotImplementedError

        def __enter__(self) -> Any:
            calls.append("enter")
            return self

        def __exit__(self, *error: object) -> None:
            calls.append("exit")

        def close(self) -> None:
            calls.append("close")

    lib.CacheTransport(Next()).close()
    assert calls == ["close"]
    with lib.http.Client(transport=lib.CacheTransport(Next())):
        assert calls == ["close", "enter"]
    assert calls == ["close", "enter", "exit"]
