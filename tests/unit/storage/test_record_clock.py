"""Records that a wrong clock dated are neither fresh nor gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_clients import Make

from pywats_cache import Controller, SharedStorage
from pywats_cache.storage.entry import StoredResponse
from pywats_cache.storage.shared import record_clock
from pywats_cache.storage.shared.record_clock import FAR_PAST, SETTLED, SLACK, Moment, age_of
from pywats_cache.storage.shared.record_format import NO_BOOT, Record, pack, unpack
from pywats_cache.storage.uses import Uses

pytestmark = pytest.mark.usefixtures("written_at_once")
HOUR, DAY = 3600.0, 86_400.0
JUMPS = [HOUR, 10 * HOUR, 3 * DAY, 400 * DAY]
HERE, THERE = b"h" * 16, b"t" * 16


def record_of(
    wall: float, *, boot: bytes = NO_BOOT, since_boot: float = 0.0, ttl: float = HOUR, use: float = 0.0
) -> Record:
    entry = StoredResponse(
        key="k", status=200, headers=(), raw=b"", content=b"", extensions={}, began=0.0, ttl=ttl, own_ttl=False,
        tags=(), epoch=1, vary=(), rule="r",
    )  # fmt: skip
    return unpack(pack(entry, wall=wall, generation="g", uses=Uses(offline=use), boot=boot, since_boot=since_boot))


def at(wall: float, since_boot: float = 10 * DAY, boot: bytes = NO_BOOT) -> Moment:
    return Moment(wall, boot, since_boot)


def test_the_age_is_that_of_the_wall_clock() -> None:
    assert age_of(record_of(1000.0), at(1500.0)) == 500.0


@pytest.mark.parametrize("jump", JUMPS)
def test_what_is_dated_later_than_now_has_no_known_age(jump: float) -> None:
    for boot in (NO_BOOT, HERE):
        assert age_of(record_of(jump, boot=boot), at(0.0, boot=boot)) is None


def test_clocks_that_differ_a_little_make_a_record_new() -> None:
    assert age_of(record_of(1000.0), at(1000.0 - SLACK)) == 0.0


@pytest.mark.parametrize("jump", JUMPS)
def test_within_one_run_of_the_machine_a_clock_that_jumped_ends_no_use(jump: float) -> None:
    record = record_of(1000.0, boot=HERE, since_boot=50.0)
    assert age_of(record, at(1000.0 + jump, since_boot=60.0, boot=HERE)) is None
    assert age_of(record, at(1000.0 + 2 * HOUR, since_boot=50.0 + 2 * HOUR, boot=HERE)) == 2 * HOUR, "this is true"


def test_within_one_run_of_the_machine_no_record_looks_younger_than_it_is() -> None:
    record = record_of(1000.0, boot=HERE, since_boot=50.0)
    assert age_of(record, at(1100.0, since_boot=50.0 + 1800.0, boot=HERE)) == 1800.0


def test_soon_after_boot_an_ended_use_is_not_believed() -> None:
    record = record_of(0.0, boot=THERE, use=HOUR)
    assert age_of(record, at(3 * DAY, since_boot=SETTLED - 1, boot=HERE)) is None
    assert age_of(record, at(3 * DAY, since_boot=SETTLED, boot=HERE)) == 3 * DAY
    assert age_of(record, at(1.5 * HOUR, since_boot=1.0, boot=HERE)) == 1.5 * HOUR


def test_soon_after_boot_nothing_of_an_earlier_run_is_believed_to_be_young() -> None:
    """Many machines start with the time at which they were stopped."""
    record = record_of(1000.0, boot=THERE, use=DAY)
    now = Moment(1010.0, HERE, SETTLED - 1, of_one_machine=True)
    assert age_of(record, now) is None
    assert age_of(record, now._replace(since_boot=SETTLED)) == 10.0
    assert age_of(record, now._replace(of_one_machine=False)) == 10.0, "another machine, which runs now"
    assert age_of(record, now._replace(boot=THERE, since_boot=10.0)) == 10.0


def test_what_ended_its_use_years_ago_was_dated_by_a_wrong_clock() -> None:
    record = record_of(0.0, use=HOUR)
    assert age_of(record, at(2 * HOUR + FAR_PAST)) is None
    assert age_of(record, at(2 * HOUR + FAR_PAST - 1)) is not None
    assert age_of(record_of(0.0, use=inf), at(10 * FAR_PAST)) == 10 * FAR_PAST


_TIMES = st.floats(0.0, 1000 * DAY)


@given(
    fetched=_TIMES, passed=_TIMES, wrong=st.floats(-1000 * DAY, 1000 * DAY), use=st.sampled_from([0.0, HOUR, 30 * DAY])
)
def test_within_one_run_of_the_machine_an_age_is_never_less_than_the_true_one(
    fetched: float, passed: float, wrong: float, use: float
) -> None:
    record = record_of(2000 * DAY + fetched, boot=HERE, since_boot=fetched, use=use)
    now = Moment(2000 * DAY + fetched + passed + wrong, HERE, fetched + passed)
    age = age_of(record, now)
    assert age is None or age >= passed - 1e-3
    if abs(wrong) < SLACK / 2:
        assert age is not None, "what is dated rightly is known"


# ── in a store ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Sets the clocks: `wrong` of the wall clock alone, `later` of both, `reboot` another run of the machine."""
    wall, uptime = time.time, record_clock.uptime
    state = SimpleNamespace(wrong=0.0, later=0.0, boot=HERE, booted=None)
    monkeypatch.setattr(time, "time", lambda: wall() + state.wrong + state.later)
    monkeypatch.setattr(record_clock, "_boot", lambda: state.boot)

    def since_boot() -> float:
        return uptime() + state.later + (10 * DAY if state.booted is None else -state.booted)

    def reboot() -> None:
        state.boot = bytes([state.boot[0] + 1]) * 16
        state.booted = uptime() + state.later

    monkeypatch.setattr(record_clock, "uptime", since_boot)
    state.reboot = reboot
    return state


def outcome(response: Any) -> tuple[str, str]:
    found = response.extensions["pywats_cache"]
    return found.status, found.reason


@pytest.mark.parametrize("when", ["before boot", "after boot", "in this run"])
@pytest.mark.parametrize("jump", [sign * jump for jump in JUMPS for sign in (1, -1)])
@pytest.mark.parametrize("mode", ["ttl", "rfc"])
def test_a_clock_that_jumps_drops_nothing_and_makes_nothing_fresh(
    process: Make, origin: Any, machine: SimpleNamespace, when: str, jump: float, mode: str
) -> None:
    """The clock is right again in the second life, or it is wrong in that one only. No window is as long as a jump."""
    given: dict[str, Any] = {"rfc9111": True, "stale_if_error": 0.0} if mode == "rfc" else {"ttl": 60.0}
    origin.reply = {"headers": {"ETag": '"1"', "Cache-Control": "max-age=60"}}
    if when == "before boot":
        machine.wrong = jump
    first = process(Controller(**given, offline="auto", offline_for=HOUR / 2))
    first.get("/a")
    machine.later, machine.wrong = 10.0, 0.0 if when == "before boot" else jump
    if when != "in this run":
        machine.reboot()
    for offline in ("only", "auto"):
        client = process(Controller(**given, offline=offline, offline_for=HOUR / 2))
        found = client.get("/a").extensions["pywats_cache"]
        if offline == "only":
            assert (found.status, found.reason, found.age) == ("stale", "offline", None)
            explained = client.cache.explain(client.build_request("GET", "/a"))
            assert (explained.status, explained.reason, explained.age) == ("stale", "offline", None)
        else:
            assert found.status in ("revalidated", "miss")
    machine.wrong = 0.0


def test_what_a_clock_of_the_future_dated_gives_way_for_every_process(
    process: Make, origin: Any, machine: SimpleNamespace
) -> None:
    machine.wrong = DAY
    process(Controller(ttl=60.0)).get("/a")
    machine.wrong = 0.0
    assert outcome(process(Controller(ttl=60.0)).get("/a"))[0] == "miss"
    assert outcome(process(Controller(ttl=60.0)).get("/a")) == ("hit", "fresh")


def test_a_machine_that_starts_with_the_time_of_its_stop_revives_nothing(
    process: Make, origin: Any, machine: SimpleNamespace
) -> None:
    process(Controller(ttl=60.0)).get("/a")
    machine.later = HOUR
    machine.wrong = -HOUR
    machine.reboot()
    stale = process(Controller(ttl=60.0, offline="only")).get("/a").extensions["pywats_cache"]
    assert (stale.status, stale.age) == ("stale", None)
    assert outcome(process(Controller(ttl=60.0)).get("/a"))[0] == "miss"
    assert outcome(process(Controller(ttl=60.0)).get("/a")) == ("hit", "fresh"), "of this run"


def test_an_answer_of_no_known_age_tells_no_age(process: Make, origin: Any, machine: SimpleNamespace) -> None:
    origin.reply = {"headers": {"Cache-Control": "max-age=60"}}
    controller = Controller(rfc9111=True, offline="only", cache_status="here")
    process(Controller(rfc9111=True, offline="auto")).get("/a")
    machine.wrong = -DAY
    client = process(controller)
    response = client.get("/a")
    assert response.extensions["pywats_cache"].age is None
    assert "age" not in response.headers
    assert response.headers["cache-status"] == "here; hit; detail=offline"
    again = client.get("/a")
    assert (outcome(again), again.extensions["pywats_cache"].age) == (("stale", "offline"), None), "from memory"
    assert "age unknown" in str(client.cache.explain(client.build_request("GET", "/a")))
    assert client.cache.doctor() == []


def test_an_answer_of_no_known_age_is_not_served_while_it_is_revalidated(
    process: Make, origin: Any, machine: SimpleNamespace
) -> None:
    controller = Controller(ttl=60.0, stale_while_revalidate=10 * DAY)
    process(controller).get("/a")
    machine.wrong = -DAY
    assert outcome(process(controller).get("/a")) == ("miss", "expired")


def test_it_stands_in_for_a_server_that_fails(process: Make, origin: Any, machine: SimpleNamespace) -> None:
    controller = Controller(ttl=60.0, stale_if_error=HOUR)
    process(controller).get("/a")
    machine.wrong = -DAY
    origin.reply = {"status_code": 503}
    assert outcome(process(controller).get("/a")) == ("stale", "if-error")


# ── upkeep ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def stored(storage: SharedStorage) -> int:
    return storage._records.totals()[0]


@pytest.mark.parametrize(
    ("then", "left"),
    [
        (lambda machine: None, 1),
        (lambda machine: machine.__dict__.update(wrong=3 * DAY), 2),
        (lambda machine: machine.__dict__.update(wrong=-3 * DAY), 2),
        (lambda machine: machine.reboot(), 2),
        (lambda machine: (machine.reboot(), machine.__dict__.update(later=machine.later + SETTLED)), 1),
    ],
    ids=["steady", "jumped ahead", "jumped back", "just booted", "booted long ago"],
)
def test_records_are_removed_only_by_a_clock_that_ran_steadily(
    process: Make, origin: Any, store: Make, machine: SimpleNamespace, then: Callable[[Any], object], left: int
) -> None:
    process(Controller(ttl=60.0)).get("/a")
    machine.later = 120.0
    then(machine)
    storage = store()
    process(Controller(ttl=60.0), storage).get("/b")
    assert stored(storage) == left


def test_a_clock_that_runs_on_after_a_jump_is_trusted_again(
    process: Make, origin: Any, store: Make, machine: SimpleNamespace
) -> None:
    process(Controller(ttl=60.0)).get("/a")
    machine.wrong = 3 * DAY
    storage = store()
    client = process(Controller(ttl=60.0), storage)
    client.get("/b")
    assert stored(storage) == 2
    machine.later = SETTLED + 60.0
    client.get("/c")
    assert stored(storage) == 1


def test_what_may_still_be_of_use_is_not_removed(
    process: Make, origin: Any, store: Make, machine: SimpleNamespace
) -> None:
    process(Controller(ttl=60.0, stale_if_error=HOUR)).get("/a")
    origin.reply = {"headers": {"ETag": '"1"'}}
    process(Controller(ttl=60.0)).get("/b")
    origin.reply = {}
    counts = []
    for later in (120.0, HOUR + 120.0, DAY + 120.0):
        machine.later = later
        storage = store()
        process(Controller(ttl=1.0), storage).get("/other")
        counts.append(stored(storage))
    assert counts == [3, 2, 1]


@pytest.mark.parametrize("seconds", [0.0, 500.0])
def test_how_long_an_answer_with_a_validator_is_kept_can_be_set(
    process: Make, origin: Any, store: Make, machine: SimpleNamespace, seconds: float
) -> None:
    origin.reply = {"headers": {"ETag": '"1"'}}
    process(Controller(ttl=60.0), store(revalidate_for=seconds)).get("/a")
    origin.reply = {}
    machine.later = 60.0 + seconds + 1.0
    process(Controller(ttl=60.0)).get("/a")
    machine.later = 0.0
    assert "if-none-match" not in origin.requests[-1].headers
