"""`cache.options(…)`: directives for the calls of a `with` block."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from every_way import MODES, WAYS, Asking, status

from pywats_cache import CachingError, ConfigurationError, Controller, Read, Write
from pywats_cache.engine.scopes import _innermost
from pywats_cache.testing import FakeClock

Make = Callable[..., Asking]


@pytest.fixture
def make(lib: SimpleNamespace, origin: Any, clock: FakeClock) -> Iterator[Make]:
    made: list[Asking] = []

    def new(way: str, controller: Controller, **parts: Any) -> Asking:
        origin.reply = {"headers": {"Cache-Control": "max-age=60"}}
        made.append(Asking(lib, origin, way, controller=controller, clock=clock, **parts))
        return made[-1]

    yield new
    for asking in made:
        asking.close()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    way: str = request.param
    return way


@pytest.fixture(params=sorted(MODES))
def asking(make: Make, way: str, request: pytest.FixtureRequest) -> Asking:
    """A cache that has answered `/a` twice, so that a client's lookup knows that call."""
    asking = make(way, MODES[request.param])
    assert [status(asking.get()) for _ in range(2)] == [("miss", "unknown"), ("hit", "fresh")]
    return asking


@pytest.mark.parametrize(
    ("directives", "expected"),
    [
        ({"bypass": True}, ("bypass", "caller-bypass")),
        ({"refresh": True}, ("miss", "refresh")),
        ({"only_if_cached": True}, ("hit", "fresh")),
        ({"ttl": 0.5}, ("miss", "refresh")),
    ],
)
def test_a_block_gives_directives_to_its_calls_and_to_no_other(
    asking: Asking, clock: FakeClock, directives: Any, expected: tuple[str, str]
) -> None:
    clock.advance(1.0)
    with asking.cache.options(**directives):
        assert status(asking.get()) == expected
    with asking.cache.options(bypass=True):
        assert status(asking("GET", "/b")) == ("bypass", "caller-bypass")
    assert status(asking("GET", "/b")) == ("miss", "unknown")
    assert asking.get().extensions["pywats_cache"].status in ("hit", "miss")


def test_tags_of_a_block_reach_what_was_stored_in_it(asking: Asking) -> None:
    with asking.cache.options(tags=("nightly",)):
        asking.get("/b")
    asking._run(asking.cache.invalidate(tags=("nightly",)))
    assert status(asking.get("/b")) == ("miss", "dirtied")
    assert status(asking.get()) == ("hit", "fresh")


def test_a_write_in_a_bypass_block_invalidates(asking: Asking) -> None:
    with asking.cache.options(bypass=True):
        asking("PUT", "/a")
    assert status(asking.get()) == ("miss", "dirtied")


def test_a_request_beats_the_inner_block_which_beats_the_outer_one(asking: Asking) -> None:
    with asking.cache.options(bypass=True):
        with asking.cache.options(refresh=True):
            assert status(asking.get()) == ("miss", "refresh")
            assert status(asking(only_if_cached=True)) == ("hit", "fresh")
            assert status(asking(refresh=False)) == ("hit", "fresh")
            assert status(asking(bypass=True)) == ("bypass", "caller-bypass")
        with asking.cache.options(bypass=False):
            assert status(asking.get()) == ("hit", "fresh")
        assert status(asking.get()) == ("bypass", "caller-bypass")
    assert status(asking.get()) == ("hit", "fresh")


def test_tags_of_blocks_and_request_add_up(asking: Asking) -> None:
    for tag in ("outer", "inner", "own"):
        with asking.cache.options(tags=("outer",)), asking.cache.options(tags=("inner",)):
            asking("GET", "/b", refresh=True, tags=("own",))
        asking._run(asking.cache.invalidate(tags=(tag,)))
        assert status(asking("GET", "/b")) == ("miss", "dirtied")


def test_a_block_holds_for_the_client_that_made_it_alone(make: Make, way: str, asking: Asking) -> None:
    other = make(way, MODES["ttl"])
    other.get()
    with asking.cache.options(bypass=True):
        assert status(other.get()) == ("hit", "fresh")


def test_a_block_ends_with_an_error(asking: Asking) -> None:
    with pytest.raises(KeyError), asking.cache.options(bypass=True):
        raise KeyError
    assert status(asking.get()) == ("hit", "fresh")
    assert asking.cache._engine.open_scopes == 0


def test_one_block_may_be_entered_again_and_within_itself(asking: Asking) -> None:
    fresh = asking.cache.options(refresh=True)
    for _ in range(2):
        with fresh:
            with fresh:
                assert status(asking.get()) == ("miss", "refresh")
            assert status(asking.get()) == ("miss", "refresh")
        assert status(asking.get()) == ("hit", "fresh")


def test_a_block_left_in_another_context_is_over_in_both(asking: Asking) -> None:
    entered, left = contextvars.copy_context(), contextvars.copy_context()
    block = asking.cache.options(bypass=True)
    entered.run(block.__enter__)
    copy = entered.copy()
    assert status(entered.run(asking.get)) == ("bypass", "caller-bypass")
    left.run(block.__exit__, None, None, None)
    for context in (entered, copy, left):
        assert status(context.run(asking.get)) == ("hit", "fresh")


def test_blocks_left_in_another_context_do_not_pile_up(asking: Asking) -> None:
    entered, left = contextvars.copy_context(), contextvars.copy_context()
    for _ in range(20):
        block = asking.cache.options(bypass=True)
        entered.run(block.__enter__)
        left.run(block.__exit__, None, None, None)
    held, scope = 0, entered[_innermost]
    while scope is not None:
        held, scope = held + 1, scope.outer
    assert held == 1


def test_a_post_in_a_block_is_not_stored_for_a_get(make: Make, way: str) -> None:
    """As one with directives of its own is not."""
    asking = make(way, MODES["rfc"])
    asking.origin.reply = {"headers": {"Cache-Control": "max-age=60", "Content-Location": "/a"}}
    with asking.cache.options(tags=("t",)):
        asking("POST", "/a", content=b"x")
    assert asking.cache.stats.entries == 0
    asking("POST", "/a", content=b"x")
    assert asking.cache.stats.entries == 1


def test_blocks_left_in_another_order_than_they_were_entered_in_are_over(asking: Asking) -> None:
    outer, inner = asking.cache.options(bypass=True), asking.cache.options(ttl=30)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert status(asking.get()) == ("hit", "fresh")
    inner.__exit__(None, None, None)
    assert asking.cache._engine.open_scopes == 0


def test_an_explanation_in_a_block_is_that_of_a_call_in_it(asking: Asking) -> None:
    request = asking.lib.http.Request("GET", "http://origin/a")
    with asking.cache.options(refresh=True):
        assert asking.cache.explain(request).reason == "refresh"
    assert asking.cache.explain(request).reason == "fresh"


def test_a_lookup_in_a_block_answers_nothing(make: Make) -> None:
    asking = make("sync client", MODES["ttl"])
    asking.get()
    assert asking.client.lookup("GET", "http://origin/a") is not None
    with asking.cache.options(refresh=True):
        assert asking.client.lookup("GET", "http://origin/a") is None
    assert asking.client.lookup("GET", "http://origin/a") is not None


def test_durations_are_taken_as_everywhere(asking: Asking, clock: FakeClock) -> None:
    clock.advance(10.0)
    with asking.cache.options(ttl="9s"):
        assert status(asking.get()) == ("miss", "refresh")
    clock.advance(8.0)
    with asking.cache.options(ttl=timedelta(seconds=9)):
        assert status(asking.get()) == ("hit", "fresh")


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_is_refused_for_a_block(client: Any) -> None:
    with pytest.raises(ConfigurationError, match="key must not be given for a block"):
        client.cache.options(key="a")


@pytest.mark.parametrize("given", [{"refesh": True}, {"ttl": -1}, {"ttl": "soon"}, {"bypass": 1}, {"tags": "a"}])
def test_what_is_no_directive_is_refused_at_once(client: Any, given: Any) -> None:
    with pytest.raises(CachingError, match=next(iter(given))):
        client.cache.options(**given)
    assert client.cache._engine.open_scopes == 0


# ── threads, tasks, background ────────────────────────────────────────────────────────────────────────────────────────


def test_another_thread_is_in_no_block_unless_it_runs_in_a_copy_of_the_context(make: Make) -> None:
    asking = make("sync client", MODES["ttl"])
    asking.get()
    with asking.cache.options(bypass=True), ThreadPoolExecutor(1) as pool:
        assert status(pool.submit(asking.get).result()) == ("hit", "fresh")
        copied = pool.submit(contextvars.copy_context().run, asking.get).result()
        assert status(copied) == ("bypass", "caller-bypass")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tasks_begun_in_a_block_are_in_it_and_others_are_not(lib: SimpleNamespace, origin: Any, backend: str) -> None:
    seen: dict[str, tuple[str, str]] = {}

    async def main() -> None:
        import anyio

        async with lib.AsyncCacheClient(transport=origin.transport) as client:
            await client.get("http://origin/a")
            is_open, is_asked = anyio.Event(), anyio.Event()

            async def ask(name: str) -> None:
                seen[name] = status(await client.get("http://origin/a"))

            async def before() -> None:
                await is_open.wait()
                await ask("before")
                is_asked.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(before)
                with client.cache.options(refresh=True):
                    is_open.set()
                    await is_asked.wait()
                    async with anyio.create_task_group() as inner:
                        inner.start_soon(ask, "inside")

    asyncio.run(main()) if backend == "asyncio" else trio.run(main)
    assert seen == {"before": ("hit", "fresh"), "inside": ("miss", "refresh")}


def test_warming_in_a_block_follows_it(make: Make, way: str) -> None:
    asking = make(way, MODES["ttl"])
    with asking.cache.options(tags=("warm",)):
        asking._run(asking.cache.warm(["http://origin/a"]))
    asking._run(asking.cache.invalidate(tags=("warm",)))
    assert status(asking.get()) == ("miss", "dirtied")


NOTED: contextvars.ContextVar[str] = contextvars.ContextVar("noted", default="clean")


@pytest.mark.parametrize("backend", ["sync", "asyncio", "trio"])
def test_a_refresh_runs_in_a_clean_context(lib: SimpleNamespace, origin: Any, clock: FakeClock, backend: str) -> None:
    """Neither the block of the caller nor what else stands in its context is there."""
    contexts: list[str] = []
    is_refreshed = threading.Event()

    def reply(request: Any) -> Any:
        contexts.append(NOTED.get())
        if len(contexts) > 1:
            is_refreshed.set()
        return lib.http.Response(200, text=str(len(contexts)))

    origin.reply = reply
    parts = {"controller": Controller(ttl=60.0, stale_while_revalidate=60.0), "clock": clock}

    def ask_twice(client: Any) -> Iterator[Any]:
        yield client.get("http://origin/a")
        clock.advance(61.0)
        with client.cache.options(tags=("mine",)), client.cache.outcomes() as seen:
            yield client.get("http://origin/a")
        assert [outcome.status for outcome in seen] == ["stale"]

    if backend == "sync":
        NOTED.set("caller")
        with lib.CacheClient(transport=origin.transport, **parts) as client:
            for _ in ask_twice(client):
                pass
            assert is_refreshed.wait(10)
    else:

        async def main() -> None:
            import anyio

            NOTED.set("caller")
            async with lib.AsyncCacheClient(transport=origin.transport, **parts) as client:
                for answer in ask_twice(client):
                    await answer
                with anyio.fail_after(10):
                    while not is_refreshed.is_set():
                        await anyio.lowlevel.checkpoint()

        asyncio.run(main()) if backend == "asyncio" else trio.run(main)
    assert contexts == ["caller", "clean"]


# ── the windows of staleness ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", sorted(MODES))
def test_stale_while_revalidate_is_given_for_one_call(make: Make, way: str, clock: FakeClock, mode: str) -> None:
    asking = make(way, MODES[mode])
    asking.get()
    clock.advance(70.0)
    with asking.cache.options(stale_while_revalidate=30):
        assert status(asking.get()) == ("stale", "while-revalidate")


@pytest.mark.parametrize("mode", sorted(MODES))
def test_stale_while_revalidate_is_given_for_one_request_and_has_an_end(
    make: Make, way: str, clock: FakeClock, mode: str
) -> None:
    asking = make(way, MODES[mode])
    asking.get()
    clock.advance(70.0)
    assert status(asking(stale_while_revalidate=9.0))[0] == "miss"
    clock.advance(70.0)
    assert status(asking(stale_while_revalidate=30)) == ("stale", "while-revalidate")


@pytest.mark.parametrize("mode", sorted(MODES))
def test_no_window_for_one_call_beats_that_of_the_rule(make: Make, way: str, clock: FakeClock, mode: str) -> None:
    policy = Controller(ttl=60.0, rfc9111=mode == "rfc", stale_while_revalidate=30.0, stale_if_error=30.0)
    asking = make(way, policy)
    asking.get()
    clock.advance(70.0)
    with asking.cache.options(stale_while_revalidate=0, stale_if_error=0):
        asking.origin.reply = {"status_code": 503, "headers": {"Cache-Control": "no-store"}}
        response = asking.get()
    assert (response.status_code, response.extensions["pywats_cache"].status) == (503, "miss")


@pytest.mark.parametrize("mode", sorted(MODES))
def test_stale_if_error_is_given_for_one_call(make: Make, way: str, clock: FakeClock, mode: str) -> None:
    asking = make(way, Controller(ttl=60.0, rfc9111=mode == "rfc", stale_if_error=0))
    asking.get()
    clock.advance(70.0)
    asking.origin.reply = {"status_code": 503, "headers": {"Cache-Control": "no-store"}}
    with asking.cache.options(stale_if_error=30):
        assert status(asking.get()) == ("stale", "if-error")
    assert asking(stale_if_error=9).status_code == 503
    assert status(asking(stale_if_error=30)) == ("stale", "if-error")
    assert asking.get().status_code == 503


@pytest.mark.parametrize("mode", sorted(MODES))
def test_windows_given_with_a_ttl_begin_where_that_ends(make: Make, way: str, clock: FakeClock, mode: str) -> None:
    asking = make(way, MODES[mode])
    asking.get()
    clock.advance(15.0)
    assert status(asking(ttl=20, stale_while_revalidate=10)) == ("hit", "fresh")
    clock.advance(10.0)
    asking.origin.reply = {"status_code": 503, "headers": {"Cache-Control": "no-store"}}
    assert asking(ttl=20, stale_if_error=4).status_code == 503
    assert asking(ttl=20, stale_while_revalidate=4).status_code == 503
    assert asking(fields={"Cache-Control": "max-age=20"}, stale_if_error=10).status_code == 503
    assert status(asking(ttl=20, stale_if_error=10)) == ("stale", "if-error")
    assert status(asking(ttl=20, stale_while_revalidate=10)) == ("stale", "while-revalidate")


@pytest.mark.parametrize("mode", sorted(MODES))
def test_what_a_write_made_invalid_is_not_served_stale_in_a_window_of_the_caller(
    make: Make, way: str, clock: FakeClock, mode: str
) -> None:
    asking = make(way, MODES[mode])
    asking.get()
    asking("PUT", "/a")
    with asking.cache.options(stale_while_revalidate=600, stale_if_error=600):
        assert status(asking.get()) == ("miss", "dirtied")


def test_what_says_must_revalidate_is_not_served_stale_in_a_window_of_the_caller(
    make: Make, way: str, clock: FakeClock
) -> None:
    asking = make(way, MODES["rfc"])
    asking.origin.reply = {"headers": {"Cache-Control": "max-age=60, must-revalidate"}}
    asking.get()
    clock.advance(70.0)
    assert status(asking(stale_while_revalidate=30, stale_if_error=30))[0] == "miss"


def test_a_window_of_the_caller_beats_that_of_the_answer(make: Make, way: str, clock: FakeClock) -> None:
    asking = make(way, MODES["rfc"])
    asking.origin.reply = {"headers": {"Cache-Control": "max-age=60, stale-while-revalidate=30, stale-if-error=5"}}
    asking.get()
    clock.advance(70.0)
    asking.origin.reply = {"status_code": 503, "headers": {"Cache-Control": "no-store"}}
    assert asking(stale_while_revalidate=0, stale_if_error=0).status_code == 503
    assert status(asking(stale_while_revalidate=0, stale_if_error=30)) == ("stale", "if-error")


def test_the_tags_of_a_block_are_dirtied_by_its_writes(make: Make, way: str) -> None:
    asking = make(way, Controller(rules=[Read("/a", tags=("t",)), Write("/w", methods=("POST",))]))
    asking.get()
    with asking.cache.options(tags=("t",)):
        asking("POST", "/w")
    assert status(asking.get()) == ("miss", "dirtied")
