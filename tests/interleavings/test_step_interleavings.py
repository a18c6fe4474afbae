"""Every order of the steps of two to four concurrent reads and writes, checked as a regular register."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from engine_mutants import late_bumps, plant
from lookup_processes import hooking, looking_up, streaming, waiting
from register_world import COLLECTION, ITEM, World, breaking_off, changing, invalidating, reading, writing
from step_explorer import Process, Violation, explore

from pywats_cache import Controller, Write

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"


def one_origin_request(world: World) -> None:
    if world.fetches != 1:
        raise Violation(f"{world.fetches} origin requests for one cold key")


def two_origin_requests_at_most(world: World) -> None:
    if world.fetches > 2:
        raise Violation(f"{world.fetches} origin requests, though those who left one flight could share the next")


def one_for_each_language(world: World) -> None:
    languages = {reading.language for reading in world.readings}
    if world.fetches > len(languages) + 1:
        raise Violation(f"{world.fetches} origin requests for {len(languages)} languages")


def one_for_each_state(world: World) -> None:
    if world.fetches > len(world.versions):
        raise Violation(f"{world.fetches} origin requests for {len(world.versions)} states of one cold key")


def the_younger_answer_stays(world: World) -> None:
    if [entry.began for entry in world.storage.table.items.values()] != [max(world.finished)]:
        raise Violation("what is stored is not the answer whose fetch began last")


def all_answered(count: int) -> Callable[[World], None]:
    def check(world: World) -> None:
        answered = sum(reading.ended < world.tick for reading in world.readings)
        if answered < count:
            raise Violation(f"only {answered} reads of {count} got an answer")

    return check


class Scenario:
    """Processes, and what is special about them."""

    def __init__(
        self,
        *processes: Callable[[World], Process],
        warm: bool = False,
        old: float = 0.0,
        expect: Callable[[World], None] | None = None,
        controller: Controller | None = None,
        validator: str | None = None,
        **options: Any,
    ) -> None:
        self.processes = processes
        self.warm = warm
        self.old = old
        self.expect = expect
        self.controller = controller
        self.validator = validator
        self.options = options

    def __call__(self) -> World:
        world = World(*self.processes, controller=self.controller)
        world.validator = self.validator
        if self.warm:
            world.warm(ITEM, COLLECTION)
        world.clock.advance(self.old)
        world.expect = self.expect
        return world

    def explore(self) -> int:
        return explore(self, **self.options)


def one_refresh(world: World) -> None:
    if (world.refreshes, world.fetches) != (1, 1):
        raise Violation(f"{world.refreshes} refreshes of one expired answer, {world.fetches} of them sent")


EXPIRED: dict[str, Any] = {
    "warm": True,
    "old": 310.0,
    "controller": Controller(ttl=300.0, stale_while_revalidate=60.0),
}
SETTLING = Controller(ttl=300.0, rules=[Write("/a/{id}", settle=10.0)])
FOUR = {"preemptions": None if THOROUGH else 3}

SCENARIOS: dict[str, tuple[Scenario, int]] = {
    # name: (scenario, schedules at least)
    "a read and a write": (Scenario(reading(slow=True), writing()), 24),
    "a warm read and a write": (Scenario(reading(), writing(), warm=True), 4),
    "two reads and a write": (Scenario(reading(), reading(), writing(), twins=[(0, 1)]), 125),
    "two warm reads and a write": (Scenario(reading(), reading(), writing(), warm=True), 16),
    "a read and two writes": (Scenario(reading(), writing(), writing(), twins=[(1, 2)]), 588),
    "a warm read and two writes": (Scenario(reading(), writing(), writing(), warm=True, twins=[(1, 2)]), 83),
    "a read of the collection, one of the item, and a write": (
        Scenario(reading(COLLECTION), reading(ITEM), writing()),
        1176,
    ),
    "reads of the collection with a query, and a POST to it": (
        Scenario(reading("/a?x=1"), reading("/a?x=2"), writing(path="/a", method="POST")),
        1176,
    ),
    "three cold reads make one origin request": (
        Scenario(reading(slow=True), reading(slow=True), reading(slow=True), expect=one_origin_request),
        79,
    ),
    "a failing read hands over": (
        Scenario(reading(ends="fails"), reading(), reading(), expect=all_answered(2)),
        77,
    ),
    "two failing reads hand over": (
        Scenario(reading(ends="fails"), reading(ends="fails"), reading(), expect=all_answered(1)),
        107,
    ),
    "a failing read, another and a write": (Scenario(reading(ends="fails"), reading(), writing()), 375),
    "an uncacheable answer lets all go": (
        Scenario(*[reading(ends="uncacheable", slow=True)] * 3, twins=[(0, 1), (1, 2)], expect=all_answered(3)),
        2425,
    ),
    "an uncacheable answer, another and a write": (Scenario(reading(ends="uncacheable"), reading(), writing()), 375),
    "an impatient joiner": (Scenario(reading(), reading(patient=False), writing()), 1222),
    "a joiner that is cancelled, a leader that fails, and a third": (
        Scenario(reading(ends="fails"), reading(leaves=True), reading(), expect=all_answered(1)),
        60,
    ),
    "two impatient joiners": (
        Scenario(reading(slow=True), reading(patient=False), reading(patient=False), expect=all_answered(3), **FOUR),
        500,
    ),
    "a body of unknown length, another read and a write": (Scenario(reading(ends="teed"), reading(), writing()), 433),
    "a body closed early, another read and a write": (Scenario(reading(ends="torn"), reading(), writing()), 648),
    "a body read as a stream, another read and a write": (
        Scenario(reading(ends="streamed"), reading(), writing()),
        1000,
    ),
    "a body closed early hands over": (
        Scenario(reading(ends="torn"), reading(), reading(), twins=[(1, 2)], expect=all_answered(3)),
        50,
    ),
    "a reader who takes his time holds nobody, and those who leave him share the next flight": (
        Scenario(
            reading(ends="dawdles", others=2), reading(), reading(), twins=[(1, 2)], expect=two_origin_requests_at_most
        ),
        50,
    ),
    "a reader who takes his time, another and a write": (
        Scenario(reading(ends="dawdles", others=1), reading(), writing()),
        1000,
    ),
    "a write whose answer is lost": (Scenario(reading(), reading(), writing("lost"), twins=[(0, 1)]), 130),
    "a write that ends in an error": (Scenario(reading(), reading(), writing("error"), twins=[(0, 1)]), 130),
    "a write that the server applies after the connection broke": (
        Scenario(reading(), reading(), writing("late"), twins=[(0, 1)]),
        237,
    ),
    "a warm cache, a write applied late, and one that succeeds": (
        Scenario(reading(), writing("late"), writing(), warm=True),
        304,
    ),
    "a write that is refused": (Scenario(reading(), reading(), writing("refused"), twins=[(0, 1)]), 102),
    "a write that is not sent, and one that is": (Scenario(reading(), writing("unsent"), writing()), 1176),
    "a route whose effect lags": (
        Scenario(reading(), reading(), writing("late"), controller=SETTLING, twins=[(0, 1)]),
        237,
    ),
    "a read of an expired answer that breaks off before it is sent, two more and a write": (
        Scenario(
            breaking_off(), reading(), reading(), writing(), twins=[(1, 2)], warm=True, old=310.0, validator='"v"'
        ),
        6370,
    ),
    "an invalidation after a change behind the cache's back": (
        Scenario(reading(), reading(), invalidating(), twins=[(0, 1)]),
        53,
    ),
    "a clear after a change behind the cache's back": (
        Scenario(reading(), reading(), invalidating("clear"), twins=[(0, 1)]),
        53,
    ),
    "a read, one that wants a new answer, and a change that nobody tells": (
        Scenario(reading(), reading(refresh=True), changing(), expect=the_younger_answer_stays),
        235,
    ),
    "two reads of one custom key and a write to the first one's path": (
        Scenario(reading(ITEM, key="k"), reading("/b/z", key="k"), writing(), twins=[(0, 1)]),
        125,
    ),
    "two users and a write": (Scenario(reading(user="ann"), reading(user="bob"), writing()), 1176),
    "two languages": (
        Scenario(reading(language="de"), reading(language="en"), reading(language="de"), expect=one_for_each_language),
        107,
    ),
    "two languages and a write": (Scenario(reading(language="de"), reading(language="en"), writing()), 499),
    "two reads and two writes": (
        Scenario(reading(), reading(), writing(), writing(), twins=[(0, 1), (2, 3)], **FOUR),
        1000,
    ),
    "three reads and a write": (
        Scenario(reading(), reading(), reading(), writing(), twins=[(0, 1), (1, 2)], expect=one_for_each_state),
        1124,
    ),
    "two reads, a failing one and a write": (
        Scenario(reading(ends="fails"), reading(), reading(), writing(), twins=[(1, 2)], **FOUR),
        1000,
    ),
    "a read, a write, one applied late and an invalidation": (
        Scenario(reading(), writing(), writing("late"), invalidating(), **FOUR),
        1000,
    ),
    "a warm lookup and a write": (Scenario(looking_up(), writing(), warm=True), 4),
    "two lookups and a write": (Scenario(looking_up(), looking_up(), writing(), twins=[(0, 1)]), 180),
    "a lookup, a read and two writes": (Scenario(looking_up(), reading(), writing(), writing(), preemptions=2), 2400),
    "a cold read and two lookups make one origin request": (
        Scenario(reading(slow=True), looking_up(), looking_up(), twins=[(1, 2)], expect=one_origin_request),
        41,
    ),
    "a failing read hands over to a lookup": (
        Scenario(reading(ends="fails"), looking_up(), looking_up(), twins=[(1, 2)], expect=all_answered(2)),
        55,
    ),
    "an uncacheable answer lets lookups go": (
        Scenario(reading(ends="uncacheable"), *[looking_up(ends="uncacheable")] * 2, expect=all_answered(3), **FOUR),
        426,
    ),
    "a lookup that is cancelled, a leader that fails, and a third": (
        Scenario(reading(ends="fails"), looking_up(leaves=True), looking_up(), expect=all_answered(1)),
        133,
    ),
    "an impatient lookup and a write": (Scenario(reading(), looking_up(patient=False), writing()), 2959),
    "a body of unknown length, a lookup and a write": (Scenario(reading(ends="teed"), looking_up(), writing()), 619),
    "who looks up what it is streaming itself": (Scenario(streaming(), writing(), expect=all_answered(2)), 35),
    "lookups of two languages": (
        Scenario(
            *[looking_up(language=language) for language in ("de", "en", "de")], expect=one_for_each_language, **FOUR
        ),
        154,
    ),
    "lookups of two users and a write": (
        Scenario(looking_up(user="ann"), looking_up(user="bob"), writing(), **FOUR),
        552,
    ),
    "a lookup that a hook overtakes": (Scenario(reading(), looking_up(), hooking()), 114),
    "a lookup that waits longer than a TTL": (Scenario(reading(), looking_up(), waiting(301.0)), 158),
    "a write applied late, and two lookups": (
        Scenario(looking_up(), looking_up(), writing("late"), twins=[(0, 1)]),
        339,
    ),
    "two lookups of an expired answer start one refresh": (
        Scenario(looking_up(), looking_up(), twins=[(0, 1)], expect=one_refresh, **EXPIRED),
        4,
    ),
    "two lookups of an expired answer and a write": (
        Scenario(looking_up(), looking_up(), writing(), twins=[(0, 1)], **EXPIRED),
        291,
    ),
    "two reads of an expired answer whose server cannot be reached, and a write": (
        Scenario(
            reading(ends="unreachable"),
            reading(ends="unreachable"),
            writing(),
            twins=[(0, 1)],
            **{**EXPIRED, "controller": Controller(ttl=300.0, stale_if_error=60.0)},
        ),
        100,
    ),
    "three lookups of an expired answer and a write": (
        Scenario(looking_up(), looking_up(), looking_up(), writing(), twins=[(0, 1), (1, 2)], preemptions=3, **EXPIRED),
        724,
    ),
    "a lookup past the window of an expired answer waits for its refresh": (
        Scenario(looking_up(), waiting(60.0), looking_up(), writing(), **EXPIRED, preemptions=2),
        1859,
    ),
    "lookups of an expired answer whose refresh fails": (
        Scenario(looking_up(ends="fails"), looking_up(), looking_up(), expect=one_refresh, **EXPIRED),
        60,
    ),
    "a write between an expired answer and its refresh, whose server calls every value the same": (
        Scenario(looking_up(), writing(), looking_up(), **EXPIRED, validator='"v"'),
        603,
    ),
    "a write whose answer is lost between an expired answer and its refresh": (
        Scenario(looking_up(), writing("lost"), looking_up(), **EXPIRED, validator='"v"'),
        584,
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_of_the_steps_is_regular(name: str, record_property: Callable[[str, object], None]) -> None:
    scenario, at_least = SCENARIOS[name]
    schedules = scenario.explore()
    record_property("schedules", schedules)
    assert schedules >= at_least, "the explorer must not have lost its schedules"


KILLERS = {
    "the fence is off: an entry is dated with the epoch at its finish": "a read and a write",
    "a finish does not look whether a write came in between": "a read and a write",
    "a read joins a flight that began before a write": "two reads and a write",
    "a finish takes another's flight out of the table": "three reads and a write",
    "a finish overwrites an entry whose fetch began later": (
        "a read, one that wants a new answer, and a change that nobody tells"
    ),
    "a write of unknown outcome dirties nothing": "a write whose answer is lost",
    "a write of unknown outcome opens no settle window": "a write that the server applies after the connection broke",
    "a write dirties its path but not its collection": "a read of the collection, one of the item, and a write",
    "a flight is joined although its own tags were dirtied": (
        "two reads of one custom key and a write to the first one's path"
    ),
    "a failed leader does not wake its joiners": "a failing read hands over",
    "a body closed early does not wake the joiners": "a body closed early hands over",
    "a body that is whole lands after its last chunk": "a body read as a stream, another read and a write",
    "a joiner never leaves": "a reader who takes his time holds nobody, and those who leave him share the next flight",
    "who leaves a flight shares no other": (
        "a reader who takes his time holds nobody, and those who leave him share the next flight"
    ),
    "an uncacheable answer does not wake the joiners": "an uncacheable answer lets all go",
    "a flight that failed stays in the table": "a failing read hands over",
    "what breaks off before a fetch is sent leaves its flight open": (
        "a read of an expired answer that breaks off before it is sent, two more and a write"
    ),
    "nobody joins": "three cold reads make one origin request",
    "a joiner takes an answer without looking at Vary": "two languages",
    "the key leaves out the partition": "two users and a write",
    "a cancelled joiner is not counted": "a joiner that is cancelled, a leader that fails, and a third",
    "a clear dirties after it forgot": "a clear after a change behind the cache's back",
    "a lookup joins a flight that began before a write": "two lookups and a write",
    "a lookup waits for itself": "who looks up what it is streaming itself",
    "a lookup that waited is not counted": "a cold read and two lookups make one origin request",
    "a lookup that waited does not count as one": "a cold read and two lookups make one origin request",
    "a cancelled lookup does not count as one": "a lookup that is cancelled, a leader that fails, and a third",
    "a joiner takes an answer that is past its TTL": "a lookup that waits longer than a TTL",
    "a lookup that waited is answered whatever became of its client": "a lookup that a hook overtakes",
    "a stale lookup is not counted": "two lookups of an expired answer start one refresh",
    "each stale answer starts a refresh": "two lookups of an expired answer start one refresh",
    "a refresh that failed is tried again at once": "lookups of an expired answer whose refresh fails",
    "a verdict stands although a write came": "three lookups of an expired answer and a write",
    "what a write has dirtied is served stale": "two lookups of an expired answer and a write",
    "a refresh validates what a write has dirtied": (
        "a write between an expired answer and its refresh, whose server calls every value the same"
    ),
}


def test_mutant_bump_after_the_answer_is_visible_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "a bump comes after the answer is visible")

    def bumping(world: World) -> Process:
        yield lambda: late_bumps()
        late_bumps().pop()()

    def start() -> World:
        late_bumps().clear()
        return Scenario(reading(), writing(), bumping, warm=True)()

    with pytest.raises(Violation, match="older than a write that had completed"):
        explore(start)


@pytest.mark.parametrize("name", list(KILLERS))
def test_mutant_is_found_by_the_orders_of_steps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, _ = SCENARIOS[KILLERS[name]]
    plant(monkeypatch, name)
    with pytest.raises(Violation):
        scenario.explore()
