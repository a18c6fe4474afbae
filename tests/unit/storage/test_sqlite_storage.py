"""SharedStorage: one SQLite file under several clients, each as another process would be."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from shared_clients import POSTED, RFC, Make, status

from pywats_cache import Controller, MemoryStorage, SharedStorage
from pywats_cache.coherence.single_flight import FlightTable
from pywats_cache.storage.shared import record_clock
from pywats_cache.storage.shared.record_format import FORMAT
from pywats_cache.testing import FakeClock


def test_what_one_fetched_the_other_finds(process: Make, origin: Any) -> None:
    one, other = process(), process()
    raw = gzip.compress(b'{"a": 1}')
    origin.reply = {"content": raw, "headers": {"Content-Encoding": "gzip", "X-Name": "v"}}
    miss = one.get("/a")
    hit = other.get("/a")
    assert (status(miss), status(hit), origin.count) == ("miss", "hit", 1)
    assert hit.json() == {"a": 1}
    assert hit.headers.raw == miss.headers.raw
    assert status(other.get("/a")) == "hit"


def test_what_an_ended_process_fetched_is_still_there(process: Make, origin: Any) -> None:
    first = process()
    first.get("/a")
    first.cache.storage.close()
    assert status(process().get("/a")) == "hit"
    assert origin.count == 1


def test_a_write_of_one_is_seen_by_the_other_at_once(process: Make) -> None:
    one, other = process(), process()
    assert [client.get("/a").text for client in (one, other)] == ["1", "1"]
    one.get("/tagged")
    other.get("/tagged")
    other.put("/a")
    assert one.get("/a").text == "4"
    assert one.get("/tagged").text == "2"
    other.post("/w")
    assert one.get("/tagged").text == "6"
    assert process().get("/tagged").text == "6"


def test_invalidate_and_clear_reach_the_others(process: Make) -> None:
    one, other = process(), process()
    one.get("/a"), other.get("/a")
    other.cache.invalidate("/a")
    assert one.get("/a").text == "2"
    other.cache.clear()
    assert one.get("/a").text == "3"


def test_a_read_in_flight_during_a_write_of_another_is_not_kept(process: Make, origin: Any) -> None:
    one, other = process(), process()

    def overtaken(request: Any) -> Any:
        count = origin.count
        if request.method == "GET" and count == 1:
            other.put("/a")
        return origin.http.Response(200, text=str(count))

    origin.reply = overtaken
    assert one.get("/a").text == "1"
    assert one.get("/a").text == "3"
    assert process().get("/a").text == "3"


@pytest.mark.parametrize(("code", "kept"), [(200, False), (500, False), (404, True)])
def test_reads_during_a_write_of_another_are_not_stored(process: Make, origin: Any, code: int, kept: bool) -> None:
    one, other = process(), process()
    during: list[Any] = []

    def reply(request: Any) -> Any:
        if request.method == "PUT":
            during.append(one.get("/a"))
            return origin.http.Response(code)
        return origin.http.Response(200, text=str(origin.count))

    origin.reply = reply
    other.put("/a")
    assert during[0].extensions["pywats_cache"].reason == "settling"
    assert not during[0].extensions["pywats_cache"].stored
    after = one.get("/a").extensions["pywats_cache"]
    assert after.status == "miss"
    assert after.stored is (code != 500)  # of unknown outcome: it goes on settling


def test_a_write_that_was_never_sent_leaves_no_window(process: Make, origin: Any) -> None:
    one, other = process(), process()

    def refuse(request: Any) -> Any:
        if request.method == "PUT":
            raise origin.http.ConnectError("refused")
        return origin.http.Response(200)

    origin.reply = refuse
    with pytest.raises(origin.http.ConnectError):
        other.put("/a")
    assert one.get("/a").extensions["pywats_cache"].stored


def test_credentials_stay_apart_and_the_same_ones_agree(process: Make, origin: Any) -> None:
    one, other = process(), process()
    one.get("/a")
    assert status(other.get("/a")) == "hit"
    assert status(other.get("/a", headers={"Authorization": "Bearer another"})) == "miss"


def test_a_401_drops_what_the_partition_holds_everywhere(process: Make, origin: Any) -> None:
    controller = Controller(drop_on=(401,))
    one, other = process(controller), process(controller)
    one.get("/a"), other.get("/a")
    origin.reply = {"status_code": 401}
    other.get("/b")
    origin.reply = {}
    assert status(one.get("/a")) == "miss"


@pytest.mark.usefixtures("written_at_once")
def test_ages_count_from_the_fetch_of_the_other_process(
    process: Make, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(Controller(ttl=60.0)).get("/a")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 30.0)
    age = process(Controller(ttl=60.0)).get("/a").extensions["pywats_cache"].age
    assert 30.0 <= age < 60.0
    monkeypatch.setattr(time, "time", lambda: real() + 61.0)
    assert status(process(Controller(ttl=60.0)).get("/a")) == "miss"


@pytest.mark.usefixtures("written_at_once")
def test_a_wall_clock_that_was_set_back_revives_nothing(
    process: Make, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = Controller(ttl=60.0)
    process(controller).get("/a")
    real, uptime = time.time, record_clock.uptime
    monkeypatch.setattr(time, "time", lambda: real() - 10.0)
    assert status(process(controller).get("/a")) == "miss"  # a negative age: it is asked for again, and kept
    monkeypatch.setattr(time, "time", lambda: real() + 100.0)
    process(controller).get("/other")
    monkeypatch.setattr(time, "time", lambda: real() + 20.0)
    assert 20.0 <= process(controller).get("/a").extensions["pywats_cache"].age < 60.0  # it is not dropped either
    monkeypatch.setattr(record_clock, "uptime", lambda: uptime() + 61.0)
    assert status(process(controller).get("/a")) == "miss"


def test_a_storage_finds_its_own_records_by_its_own_clock(
    lib: SimpleNamespace, origin: Any, clock: FakeClock, tmp_path: Path
) -> None:
    storage = SharedStorage(tmp_path / "c.db", memory=MemoryStorage(max_entries=1))
    transport = lib.CacheTransport(origin.transport, storage=storage, clock=clock, controller=Controller(ttl=60.0))
    with lib.http.Client(transport=transport, base_url="http://origin") as client:
        client.get("/a"), client.get("/b")
        clock.advance(59.0)
        assert client.get("/a").text == "1"
        clock.advance(1.0)
        assert client.get("/a").text == "3"
    storage.close()


def test_variants_are_told_apart_on_disk(process: Make, origin: Any) -> None:
    origin.reply = lambda request: origin.http.Response(
        200, text=request.headers.get("Accept-Language", "-"), headers={"Vary": "Accept-Language"}
    )
    one, other = process(), process()
    for language in ("da", "de"):
        one.get("/a", headers={"Accept-Language": language})
    for language in ("da", "de"):
        assert other.get("/a", headers={"Accept-Language": language}).text == language
    assert origin.count == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_the_answer_to_a_post_serves_the_get_of_every_process(process: Make, origin: Any, streamed: bool) -> None:
    one, other = process(RFC), process(RFC)
    origin.reply = {"headers": {"cache-control": "max-age=60"}}
    one.get("/a"), other.get("/a")
    origin.reply = {"content": iter([b"po", b"st"]) if streamed else b"post", "headers": POSTED}
    assert one.post("/a").content == b"post"
    assert [client.get("/a").content for client in (one, other, process(RFC))] == [b"post"] * 3
    assert origin.count == 2


@pytest.mark.parametrize(("another", "stored"), [("before", True), ("during", False), ("around", False)])
def test_the_answer_to_a_post_is_stored_only_where_its_place_among_the_writes_is_known(
    process: Make, origin: Any, another: str, stored: bool
) -> None:
    one, other = process(RFC), process(RFC)

    def reply(request: Any) -> Any:
        if request.method == "POST" and another == "during":
            other.put("/a")
        if request.method == "PUT" and another == "around":
            one.post("/a")
        return origin.http.Response(200, text=request.method, headers=POSTED)

    origin.reply = reply
    if another != "during":
        other.put("/a")
    if another != "around":
        one.post("/a")
    one.cache.storage.flush()
    assert one.get("/a").text == process(RFC).get("/a").text == ("POST" if stored else "GET")


# ── secrets ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_credential_and_no_query_reach_the_disk(process: Make, origin: Any, tmp_path: Path) -> None:
    client = process(Controller(drop_on=(401,)))
    client.get("/a?password=qu3ry-s3cr3t", headers={"X-API-Key": "k3y-of-the-test", "Cookie": "sid=c00kie-value"})
    client.post("/a", content=b"b0dy-s3cr3t")
    client.get("http://user:us3rinf0@origin/a")
    client.cache.storage.flush()
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        for secret in (b"s3cr3t", b"k3y-of-the-test", b"c00kie-value", b"us3rinf0"):
            assert secret not in content, path.name


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_every_file_is_its_owners_only(process: Make, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        client = process()
        client.get("/a"), client.put("/a")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("what", [{"path": "/tagged"}, {"tags": ("t",)}])
def test_invalidation_reaches_origins_that_this_process_never_saw(process: Make, origin: Any, what: Any) -> None:
    one, other = process(), process()
    one.get("/tagged/a")
    one.get("http://[::1]:81/tagged")
    one.get("/tagged")
    one.get("/sibling")
    other.cache.invalidate(what.get("path"), tags=what.get("tags", ()))
    assert status(one.get("/sibling")) == "hit"
    assert status(one.get("http://[::1]:81/tagged")) == "miss"
    assert status(one.get("/tagged")) == "miss"
    assert status(one.get("/tagged/a")) == ("miss" if "path" in what else "hit")
    assert [status(one.get(path)) for path in ("/tagged", "/tagged/a")] == ["hit", "hit"]


def test_soft_invalidation_reaches_them_too(process: Make) -> None:
    one, other = process(), process()
    one.get("/tagged")
    other.cache.invalidate(tags=("t",), soft=True)
    explained = one.cache.explain(one.build_request("GET", "/tagged"))
    assert (explained.softened, explained.dirtied_by) == (True, None)


def test_an_explanation_sees_what_another_process_stored(process: Make, origin: Any) -> None:
    one, other = process(), process()

    def explain(path: str, **headers: str) -> tuple[str, str]:
        found = other.cache.explain(other.build_request("GET", path, headers=headers))
        return found.status, found.reason

    assert explain("/tagged") == ("miss", "unknown")
    origin.reply = {"headers": {"Vary": "X-Kind"}}
    one.get("/tagged", headers={"X-Kind": "1"})
    one.cache.storage.flush()
    assert explain("/tagged", **{"X-Kind": "1"}) == ("hit", "fresh")
    assert explain("/tagged", **{"X-Kind": "2"}) == ("miss", "unknown")
    assert explain("/tagged", **{"X-Kind": "1", "Authorization": "another"}) == ("miss", "unknown")
    one.cache.invalidate(tags=("t",))
    assert explain("/tagged", **{"X-Kind": "1"}) == ("miss", "unknown"), "a request leaves such a record alone"
    found = other.cache.explain(other.build_request("GET", "/tagged", headers={"X-Kind": "1"}))
    assert found.dirtied_by == "#*#t"
    assert len(other.cache.storage._rows.get(found.key or "")) == 0  # it has another name: the variant's
    assert other.cache.stats.requests == 0
    assert other.cache.stats.entries == 0


# ── a look into the file before anything is fetched ───────────────────────────────────────────────────────────────


def test_what_the_file_holds_answers_without_a_flight_and_without_a_claim(
    process: Make, origin: Any, store: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = store(memory=MemoryStorage(max_entries=1))
    client = process(storage=storage)
    first = client.get("/a")
    client.get("/b")
    storage.flush()
    monkeypatch.setattr(storage._records, "claim", pytest.fail)
    monkeypatch.setattr(FlightTable, "add", lambda *_: pytest.fail("a flight"))
    again = client.get("/a")
    assert (status(again), again.text) == ("hit", first.text)
    assert client.cache.stats.tier_hits == 1
    assert client.cache.stats.hits == 1
    assert origin.count == 2


@pytest.mark.parametrize("how", ["written to", "too old", "refresh", "a variant"])
def test_what_may_not_answer_is_fetched(process: Make, origin: Any, store: Make, how: str) -> None:
    storage = store(memory=MemoryStorage(max_entries=1))
    client = process(storage=storage)
    if how == "a variant":
        origin.reply = {"headers": {"Vary": "X-Kind"}}
    client.get("/tagged")
    client.get("/b")
    storage.flush()
    asked: dict[str, Any] = {}
    if how == "written to":
        process().put("/w")
    elif how == "too old":
        asked = {"headers": {"Cache-Control": "max-age=0"}}
    elif how == "refresh":
        asked = {"extensions": {"pywats_cache": {"refresh": True}}}
    else:
        asked = {"headers": {"X-Kind": "2"}}
    before = origin.count
    assert status(client.get("/tagged", **asked)) != "hit"
    assert origin.count == before + 1


def test_a_miss_reads_the_file_once_before_and_once_with_the_right_to_fetch(
    process: Make, store: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = store()
    client = process(storage=storage)
    steps: list[str] = []
    for name in ("get", "claim"):
        real = getattr(storage._records, name)
        monkeypatch.setattr(storage._records, name, lambda *a, name=name, real=real: (steps.append(name), real(*a))[1])
    assert status(client.get("/a")) == "miss"
    assert steps == ["get", "claim", "get"]


@pytest.mark.parametrize("when", ["before the claim", "while another process has it"])
def test_what_is_stored_after_the_look_is_found_and_the_right_given_back(
    process: Make, origin: Any, store: Make, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    storage, elsewhere = store(), store()
    client, other = process(storage=storage), process(storage=elsewhere)
    real = storage._records.claim

    def claim(*arguments: Any) -> Any:
        monkeypatch.setattr(storage._records, "claim", real)
        other.get("/a")
        elsewhere.flush()
        return real(*arguments) if when == "before the claim" else None

    monkeypatch.setattr(storage._records, "claim", claim)
    answer = client.get("/a")
    assert (status(answer), origin.count) == ("hit", 1)
    assert not elsewhere._records.is_claimed(FORMAT + (answer.extensions["pywats_cache"].key or ""))


@pytest.mark.parametrize("dirties", [True, False])
def test_a_write_that_lands_between_reading_the_file_and_judging_is_not_lost(
    process: Make, origin: Any, store: Make, monkeypatch: pytest.MonkeyPatch, dirties: bool
) -> None:
    storage = store(memory=MemoryStorage(max_entries=1))
    client, other = process(storage=storage), process()
    before = client.get("/tagged").text
    client.get("/b")
    storage.flush()
    real = storage._records.get

    def get(key: str) -> Any:
        rows = real(key)
        monkeypatch.setattr(storage._records, "get", real)
        other.put("/w" if dirties else "/elsewhere")
        return rows

    monkeypatch.setattr(storage._records, "get", get)
    # The write had not returned when this read began, so it may see either; the next one may not.
    assert client.get("/tagged").text == before
    again = client.get("/tagged")
    assert (again.text != before) == dirties
    assert status(again) == ("miss" if dirties else "hit")


@pytest.mark.parametrize("path", ["/w", "/elsewhere"])
def test_what_was_dirtied_before_it_could_be_written_is_not_written(
    process: Make, store: Make, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    storage = store()
    client = process(storage=storage)
    may_write, real = threading.Event(), storage._behind._do
    monkeypatch.setattr(storage._behind, "_do", lambda jobs: (may_write.wait(10), real(jobs)))
    client.get("/tagged")
    client.put(path)
    may_write.set()
    storage.flush()
    assert storage._records.totals()[0] == (0 if path == "/w" else 1)
