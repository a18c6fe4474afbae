"""All 313 public service methods, sync and async, with the cache mounted."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sdk_calls import KNOWN_FAILURES, WITHOUT_RESULT, arguments, service, service_methods

from pywats_cache import AsyncWATS, pyWATS
from pywats_cache.wats import wats_controller

METHODS = service_methods()
NAMES = [f"{domain}.{name}" for domain, name in METHODS]
CONTROLLER = wats_controller()


def call(api: pyWATS, domain: str, name: str, server):
    """Call one method; check that it ends as the SDK's does."""
    args, kwargs = arguments(domain, name, server)
    failure = KNOWN_FAILURES.get((domain, name))
    if failure is not None:
        with pytest.raises(failure):
            getattr(service(api, domain), name)(*args, **kwargs)
        return None
    result = getattr(service(api, domain), name)(*args, **kwargs)
    assert result or (domain, name) in WITHOUT_RESULT
    return result


def test_there_are_313() -> None:
    assert len(METHODS) == 313


@pytest.fixture
def no_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise AssertionError("an event loop was asked for")

    for name in ("new_event_loop", "get_event_loop", "run_coroutine_threadsafe", "create_task", "sleep", "wait_for"):
        monkeypatch.setattr(asyncio, name, fail)


@pytest.mark.usefixtures("no_event_loop")
@pytest.mark.parametrize(("domain", "name"), METHODS, ids=NAMES)
def test_sync_in_a_plain_script(domain: str, name: str, api: pyWATS, server) -> None:
    call(api, domain, name, server)


def test_sync_inside_a_running_loop(api: pyWATS, server) -> None:
    async def notebook() -> None:
        for domain, name in METHODS:
            server.reset()
            call(api, domain, name, server)

    asyncio.run(notebook())


def test_eight_threads_share_a_client_for_all_reads(api: pyWATS, api_clock, server) -> None:
    reads = []
    for domain, name in METHODS:
        if (domain, name) in KNOWN_FAILURES or name in ("clear_cache", "get_box_build_template"):
            continue
        server.reset()
        before = server.request_count
        args, kwargs = arguments(domain, name, server)
        getattr(service(api, domain), name)(*args, **kwargs)
        sent = server.requests[before:]
        if sent and all(CONTROLLER.decide(r.method, r.path).kind == "read" for r in sent):
            reads.append((domain, name, args, kwargs))
    assert len(reads) > 100
    server.reset()
    api_clock.advance(3600)
    api.cache.clear()
    expected = {(domain, name): repr(getattr(service(api, domain), name)(*a, **k)) for domain, name, a, k in reads}
    api.cache.clear()
    before = api.cache.stats
    wrong, barrier = [], threading.Barrier(8)

    def work(offset: int) -> None:
        barrier.wait()
        for domain, name, args, kwargs in reads[offset:] + reads[:offset]:
            try:
                result = getattr(service(api, domain), name)(*args, **kwargs)
                if repr(result) != expected[domain, name]:
                    wrong.append((domain, name, result))
            except BaseException as error:
                wrong.append((domain, name, error))

    threads = [threading.Thread(target=work, args=(number * 11,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    after = api.cache.stats
    answered = after.hits + after.collapsed - before.hits - before.collapsed
    assert answered > 6 * (after.stores - before.stores)


def test_eight_threads_share_a_client_for_all_methods(api: pyWATS, server) -> None:
    wrong = []
    calls = [(domain, name, *arguments(domain, name, server)) for domain, name in METHODS]

    def work(methods) -> None:
        for domain, name, args, kwargs in methods:
            try:
                getattr(service(api, domain), name)(*args, **kwargs)
            except tuple({*KNOWN_FAILURES.values()}) as error:
                if (domain, name) not in KNOWN_FAILURES:
                    wrong.append((domain, name, error))
            except Exception as error:
                # What another thread deleted in the meantime is not there any more.
                if not type(error).__module__.startswith("pywats.") and not isinstance(error, (KeyError, ValueError)):
                    wrong.append((domain, name, error))

    threads = [threading.Thread(target=work, args=(calls[number::8],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.anyio
async def test_async(server, anyio_backend: str) -> None:
    async with AsyncWATS(base_url=server.base_url, token=server.token) as api:
        for domain, name in METHODS:
            server.reset()
            await api.cache.clear()
            args, kwargs = arguments(domain, name, server)
            failure = KNOWN_FAILURES.get((domain, name))
            if failure is not None:
                with pytest.raises(failure):
                    await getattr(service(api, domain), name)(*args, **kwargs)
                continue
            result = await getattr(service(api, domain), name)(*args, **kwargs)
            assert result or (domain, name) in WITHOUT_RESULT, (domain, name)


@pytest.mark.parametrize(("domain", "name"), METHODS, ids=NAMES)
def test_a_repeated_read_is_a_hit(domain: str, name: str, api: pyWATS, server) -> None:
    """A method that sends only cached reads sends none the second time, and answers the same."""
    if (domain, name) in KNOWN_FAILURES or name == "refresh":
        return
    args, kwargs = arguments(domain, name, server)
    first = getattr(service(api, domain), name)(*args, **kwargs)
    sent = server.requests
    decisions = [CONTROLLER.decide(request.method, request.path) for request in sent]
    if not sent or any(decision.kind != "read" for decision in decisions) or name == "get_box_build_template":
        return
    hits = api.cache.stats.hits
    second = getattr(service(api, domain), name)(*args, **kwargs)
    assert server.request_count == len(sent)
    assert api.cache.stats.hits == hits + len(sent)
    assert repr(second) == repr(first)
