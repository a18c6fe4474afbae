"""What makes stored answers invalid, as a caller sees it: writes, the settle window, `invalidate` and `clear`."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import Bypass, CacheOutcome, Controller, Read, Write
from pywats_cache.testing import FakeClock

Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]


# ── writes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PURGE", "FOO"])
def test_an_unsafe_method_dirties_its_path_what_is_below_and_its_collection(client: Any, method: str) -> None:
    paths = ["/a/b", "/a/b/c", "/a", "/a?page=2", "/", "/a/other", "/a/bb"]
    for path in paths:
        client.get(path)
    client.request(method, "/a/b")
    assert [client.get(path).text for path in paths] == ["9", "10", "11", "12", "5", "6", "7"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_a_safe_method_dirties_nothing(client: Any, method: str) -> None:
    client.get("/a")
    client.request(method, "/a")
    assert client.get("/a").text == "1"


def test_case_and_encoding_of_a_path_do_not_hide_a_write(client: Any) -> None:
    client.get("/Api/%C3%84pfel/x")
    client.put("/api/A%CC%88PFEL/x")
    assert client.get("/Api/%C3%84pfel/x").text == "3"


def test_a_write_elsewhere_dirties_nothing(client: Any) -> None:
    client.get("http://one/a")
    client.put("http://two/a")
    client.put("http://one:81/a")
    client.put("https://one/a")
    assert client.get("http://one/a").text == "1"


def test_a_bypass_rule_does_not_dirty(cached: Make) -> None:
    client = cached(Controller([Bypass("/a", methods=("POST",))]))
    client.get("/a")
    client.post("/a")
    assert client.get("/a").text == "1"


def test_a_read_by_post_does_not_dirty(cached: Make) -> None:
    client = cached(Controller([Read("/a", methods=("POST",))]))
    client.get("/a")
    client.post("/a")
    assert client.get("/a").text == "1"


def test_a_get_that_writes_dirties_and_is_never_cached(cached: Make, outcome: Outcome) -> None:
    client = cached(Controller([Write("/log", methods=("GET",), dirties=("log",)), Read("/entries", tags=("log",))]))
    client.get("/entries")
    assert outcome(client.get("/log"))[:2] == ("bypass", "write")
    assert client.get("/log").text == "3"
    assert client.get("/entries").text == "4"


def test_dirties_name_tags_of_reads_anywhere_at_the_origin(cached: Make) -> None:
    controller = Controller([Read("/units", tags=("unit",)), Write("/report", dirties=("unit", "report"))])
    client = cached(controller)
    client.get("/units")
    client.get("http://elsewhere/units")
    client.post("/report")
    assert client.get("/units").text == "4"
    assert client.get("http://elsewhere/units").text == "2"


@pytest.mark.parametrize(
    ("status", "dirties"),
    [
        (200, True),
        (201, True),
        (204, True),
        (303, True),
        (400, False),
        (404, False),
        (409, False),
        (500, True),
        (503, True),
    ],
)
def test_which_answers_to_a_write_dirty(client: Any, origin: Any, status: int, dirties: bool) -> None:
    client.get("/a")
    origin.reply = {"status_code": status}
    client.put("/a")
    origin.reply = {}
    assert client.get("/a").text == ("3" if dirties else "1")
    assert client.cache.stats.invalidations == int(dirties)


@pytest.mark.parametrize(
    ("error", "dirties"),
    [
        ("ReadTimeout", True),
        ("WriteTimeout", True),
        ("ReadError", True),
        ("WriteError", True),
        ("RemoteProtocolError", True),
        ("ConnectError", False),
        ("ConnectTimeout", False),
        ("PoolTimeout", False),
        ("UnsupportedProtocol", False),
    ],
)
def test_a_failed_write_dirties_unless_nothing_was_sent(
    client: Any, origin: Any, lib: SimpleNamespace, error: str, dirties: bool
) -> None:
    client.get("/a")
    kind = getattr(lib.http, error)

    def fail(request: Any) -> Any:
        raise kind("failed", request=request)

    origin.reply = fail
    with pytest.raises(kind):
        client.put("/a")
    origin.reply = {}
    assert client.get("/a").text == ("3" if dirties else "1")


@pytest.mark.parametrize(("marked", "dirties"), [(True, False), (False, True)])
def test_an_error_of_another_kind_dirties_unless_it_says_that_nothing_was_sent(
    client: Any, origin: Any, marked: bool, dirties: bool
) -> None:
    class BreakerOpenError(Exception):
        request_not_sent = marked

    def fail(request: Any) -> Any:
        raise BreakerOpenError

    client.get("/a")
    origin.reply = fail
    with pytest.raises(BreakerOpenError):
        client.put("/a")
    origin.reply = {}
    assert client.get("/a").text == ("3" if dirties else "1")


def test_a_keyboard_interrupt_in_a_write_dirties(client: Any, origin: Any) -> None:
    def interrupt(request: Any) -> Any:
        raise KeyboardInterrupt

    client.get("/a")
    origin.reply = interrupt
    with pytest.raises(KeyboardInterrupt):
        client.put("/a")
    origin.reply = {}
    assert client.get("/a").text == "3"


def test_a_dirtied_answer_says_so(client: Any, outcome: Outcome) -> None:
    client.get("/a")
    client.put("/a")
    assert outcome(client.get("/a"))[:2] == ("miss", "dirtied")


def test_a_read_in_flight_during_a_write_is_not_stored(client: Any, origin: Any, outcome: Outcome) -> None:
    def overtaken(request: Any) -> Any:
        if request.method == "GET" and origin.count == 1:
            client.put("/a")
        return origin.http.Response(200, text=str(origin.count))

    origin.reply = overtaken
    response = client.get("/a")
    assert not outcome(response).stored
    assert client.get("/a").text == "3"


def test_a_write_in_flight_keeps_no_read_out_that_began_after_it_returned(client: Any, outcome: Outcome) -> None:
    client.put("/a")
    assert outcome(client.get("/a")).stored
    assert outcome(client.get("/a")).status == "hit"


# ── the settle window ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_after_an_unknown_outcome_reads_settle(client: Any, origin: Any, clock: FakeClock, outcome: Outcome) -> None:
    origin.reply = {"status_code": 503}
    client.put("/a", timeout=8)
    origin.reply = {}
    for count in ("2", "3"):
        response = client.get("/a")
        assert outcome(response)[:2] == ("miss", "settling")
        assert not outcome(response).stored
        assert response.text == count
    assert outcome(client.get("/elsewhere")).stored
    clock.advance(7.9)
    assert outcome(client.get("/a")).reason == "settling"
    clock.advance(0.1)
    assert outcome(client.get("/a")).stored


@pytest.mark.parametrize(("timeout", "window"), [(1, 5), (12, 12), (600, 30), (None, 30)])
def test_the_window_is_the_requests_timeout_from_5_to_30_s(
    client: Any, origin: Any, clock: FakeClock, outcome: Outcome, timeout: float | None, window: float
) -> None:
    origin.reply = {"status_code": 500}
    client.put("/a", timeout=timeout)
    origin.reply = {}
    clock.advance(window - 0.1)
    assert outcome(client.get("/a")).reason == "settling"
    clock.advance(0.1)
    assert outcome(client.get("/a")).stored


def test_a_broken_write_settles_too(
    client: Any, origin: Any, lib: SimpleNamespace, clock: FakeClock, outcome: Outcome
) -> None:
    def fail(request: Any) -> Any:
        raise lib.http.ReadTimeout("late", request=request)

    origin.reply = fail
    with pytest.raises(lib.http.ReadTimeout):
        client.put("/a")
    origin.reply = {}
    assert outcome(client.get("/a"))[:2] == ("miss", "settling")


@pytest.mark.parametrize("status", [200, 404])
def test_a_known_outcome_does_not_settle(client: Any, origin: Any, outcome: Outcome, status: int) -> None:
    origin.reply = {"status_code": status}
    client.put("/a")
    origin.reply = {}
    assert outcome(client.get("/a")).stored


def test_a_rule_may_settle_after_each_write(cached: Make, clock: FakeClock, outcome: Outcome) -> None:
    client = cached(Controller([Write("/report", dirties=("unit",), settle=3), Read("/units", tags=("unit",))]))
    client.post("/report")
    assert outcome(client.get("/units")).reason == "settling"
    assert outcome(client.get("/else")).stored
    clock.advance(3)
    assert outcome(client.get("/units")).stored


def test_a_read_that_began_inside_the_window_is_not_stored_after_it(
    client: Any, origin: Any, clock: FakeClock, outcome: Outcome
) -> None:
    origin.reply = {"status_code": 500}
    client.put("/a", timeout=5)

    def slow(request: Any) -> Any:
        clock.advance(100)
        return origin.http.Response(200, text="old")

    origin.reply = slow
    assert not outcome(client.get("/a")).stored


def test_what_settles_does_not_hide_a_head_or_a_bypass(client: Any, origin: Any, outcome: Outcome) -> None:
    origin.reply = {"status_code": 500}
    client.put("/a")
    origin.reply = {}
    assert outcome(client.head("/a"))[:2] == ("miss", "head")
    assert outcome(client.get("/a", headers={"Range": "bytes=0-"}))[:2] == ("bypass", "range")


# ── invalidate and clear ──────────────────────────────────────────────────────────────────────────────────────────────


def test_invalidate_a_path_and_all_below_at_every_origin(client: Any) -> None:
    urls = ["/api/Product", "/api/Product/1?x=1", "http://two/api/product/2", "/api/Production", "/api"]
    for url in urls:
        client.get(url)
    client.cache.invalidate("/api/Product")
    assert [client.get(url).text for url in urls] == ["6", "7", "8", "4", "5"]


def test_invalidate_tags(cached: Make) -> None:
    client = cached(Controller([Read("/a", tags=("fruit", "red")), Read("/b", tags=("fruit",)), Read("/c", tags=())]))
    for path in ("/a", "/b", "/c"):
        client.get(path)
    client.cache.invalidate(tags=("red",))
    assert [client.get(path).text for path in ("/a", "/b", "/c")] == ["4", "2", "3"]
    client.cache.invalidate("/c", tags=("fruit",))
    assert [client.get(path).text for path in ("/a", "/b", "/c")] == ["5", "6", "7"]


def test_invalidate_the_root_is_everything(client: Any) -> None:
    for url in ("/", "/a", "http://two/b"):
        client.get(url)
    client.cache.invalidate("/")
    assert [client.get(url).text for url in ("/", "/a", "http://two/b")] == ["4", "5", "6"]


def test_invalidate_reaches_more_origins_than_are_remembered(client: Any) -> None:
    for n in range(300):
        client.get(f"http://host{n}/a")
    client.cache.invalidate("/a")
    assert client.get("http://host0/a").text == "301"
    assert client.get("http://host299/a").text == "302"


def test_invalidate_keeps_a_fetch_under_way_out(client: Any, origin: Any, outcome: Outcome) -> None:
    def overtaken(request: Any) -> Any:
        if origin.count == 1:
            client.cache.invalidate("/a")
        return origin.http.Response(200, text=str(origin.count))

    origin.reply = overtaken
    assert not outcome(client.get("/a")).stored
    assert client.get("/a").text == "2"


@pytest.mark.parametrize(
    ("arguments", "options", "kind"),
    [
        ((), {}, TypeError),
        ((5,), {}, TypeError),
        ((b"/a",), {}, TypeError),
        ((), {"tags": "product"}, TypeError),
        ((), {"tags": (1,)}, TypeError),
        (("a",), {}, ValueError),
        (("",), {}, ValueError),
        (("http://host/a",), {}, ValueError),
        (("/a?x=1",), {}, ValueError),
        ((), {"tags": ("",)}, ValueError),
    ],
)
def test_invalidate_refuses_what_it_cannot_mean(client: Any, arguments: Any, options: Any, kind: type) -> None:
    with pytest.raises(kind) as caught:
        client.cache.invalidate(*arguments, **options)
    assert type(caught.value).__module__ == "pywats_cache"
    assert client.cache.stats.invalidations == 0


def test_soft_invalidation_without_a_stale_window_is_a_miss(client: Any, outcome: Outcome) -> None:
    client.get("/a")
    client.cache.invalidate("/a", soft=True)
    response = client.get("/a")
    assert response.text == "2"
    assert outcome(response)[:2] == ("miss", "softened")


def test_invalidations_are_counted(client: Any) -> None:
    client.cache.invalidate("/a")
    client.cache.invalidate(tags=("t",))
    assert client.cache.stats.invalidations == 2


def test_clear_forgets_everything_stored(client: Any) -> None:
    client.get("/a")
    client.cache.clear()
    assert (client.cache.stats.entries, client.cache.stats.size_bytes) == (0, 0)
    assert client.get("/a").text == "2"
