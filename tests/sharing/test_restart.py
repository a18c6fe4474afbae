"""What was read stays readable: a process is killed, and the next one serves, validates and renews what it left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from restart_world import Away, Life
from sharing_world import soon

TTL = 60.0
PAST = 90.0
"""Seconds after which what was fetched at the beginning is past its TTL, and within every window."""
SAYS = f"max-age={TTL:.0f}"


@pytest.fixture(params=["sqlite", "valkey"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shared.db"
    return f"{request.getfixturevalue('valkey')}?prefix={tmp_path.name}"


@pytest.fixture(params=["ttl", "rfc"])
def mode(request: pytest.FixtureRequest, server: Away) -> dict[str, Any]:
    """What the controllers of all lives have in common."""
    if request.param == "ttl":
        return {"ttl": TTL}
    server.fields["Cache-Control"] = SAYS
    return {"rfc9111": True}


@pytest.fixture(params=["sync", "async"])
def live(
    request: pytest.FixtureRequest, storage: str, server: Away, mode: dict[str, Any]
) -> Iterator[Callable[..., Life]]:
    """Starts a process: `live(later, **controller)`."""
    lives: list[Life] = []

    def live(later: float = 0.0, clocks: dict[str, Any] | None = None, **controller: Any) -> Life:
        server.later = max(server.later, later)
        settings = {"later": later, "async": request.param == "async", "controller": {**mode, **controller}}
        lives.append(Life(storage, server.url, **settings, **(clocks or {})))
        lives[-1].ready()
        return lives[-1]

    yield live
    for life in lives:
        life.close()


def outcome(found: dict[str, Any]) -> tuple[str, str, str]:
    return found["text"], found["status"], found["reason"]


def fill(live: Callable[..., Life], **controller: Any) -> None:
    first = live(**controller)
    assert outcome(first.tell("GET")) == ("version 1", "miss", "unknown")
    first.kill()


def test_offline_auto_serves_after_a_restart_what_was_read_before(live: Callable[..., Life], server: Away) -> None:
    fill(live, offline="auto")
    server.go()
    life = live(PAST, offline="auto")
    found = life.tell("GET")
    assert outcome(found) == ("version 1", "stale", "offline")
    assert PAST <= found["age"] < PAST + TTL
    assert outcome(life.tell("GET")) == ("version 1", "stale", "offline")
    assert life.tell("EXPLAIN") == {
        "status": "stale",
        "reason": "offline",
        "sends": False,
        "age": pytest.approx(PAST, abs=TTL),
    }
    assert life.tell("GET", "/never") == {"error": "ConnectError"}


def test_offline_only_serves_after_a_restart_and_asks_nobody(live: Callable[..., Life], server: Away) -> None:
    fill(live, offline="auto")
    server.asked.clear()
    life = live(PAST, offline="only")
    explained = life.tell("EXPLAIN")
    assert (explained["status"], explained["reason"], explained["sends"]) == ("stale", "offline", False)
    assert outcome(life.tell("GET")) == ("version 1", "stale", "offline")
    refused = life.tell("GET", "/never")
    assert (refused["code"], refused["status"], refused["reason"]) == (504, "miss", "offline")
    assert not server.asked


@pytest.mark.parametrize("how", ["away", "fails"])
def test_an_answer_stands_in_after_a_restart_for_a_server_that_fails(
    live: Callable[..., Life], server: Away, how: str
) -> None:
    fill(live, stale_if_error=3600.0)
    if how == "away":
        server.go()
    else:
        server.status = 503
    life = live(PAST, stale_if_error=3600.0)
    assert outcome(life.tell("GET")) == ("version 1", "stale", "if-error")
    late = live(PAST + 3600.0, stale_if_error=3600.0)
    found = late.tell("GET")
    assert found == {"error": "ConnectError"} if how == "away" else found["code"] == 503


def test_an_answer_is_served_after_a_restart_while_it_is_refreshed(live: Callable[..., Life], server: Away) -> None:
    fill(live, stale_while_revalidate=3600.0)
    server.version = 2
    server.asked.clear()
    life, other = live(PAST, stale_while_revalidate=3600.0), live(PAST, stale_while_revalidate=3600.0)
    found = life.tell("GET")
    assert outcome(found) == ("version 1", "stale", "while-revalidate")
    assert found["age"] >= PAST
    soon(lambda: other.tell("EXPLAIN")["reason"] == "fresh")
    assert outcome(other.tell("GET")) == ("version 2", "hit", "fresh")
    soon(lambda: life.tell("EXPLAIN")["reason"] == "fresh")
    assert server.asked == {"conditional": 1}, "one refresh for all"


def test_an_expired_answer_is_validated_after_a_restart_and_renewed_for_all(
    live: Callable[..., Life], server: Away
) -> None:
    fill(live)
    server.asked.clear()
    life, other = live(PAST), live(PAST)
    assert life.tell("EXPLAIN")["sends"] is True
    assert outcome(life.tell("GET")) == ("version 1", "revalidated", "not-modified")
    found = other.tell("GET")
    assert outcome(found) == ("version 1", "hit", "fresh")
    assert found["age"] < TTL
    assert server.asked == {"conditional": 1}
    server.version = 2
    assert outcome(live(PAST + 2 * TTL).tell("GET")) == ("version 2", "miss", "expired")
    assert server.asked == {"conditional": 2}


def test_what_was_written_since_is_never_served_after_a_restart(live: Callable[..., Life], server: Away) -> None:
    fill(live, offline="auto", stale_if_error=3600.0, stale_while_revalidate=3600.0)
    writer = live(offline="auto")
    assert writer.tell("PUT")["code"] == 200
    writer.kill()
    server.go()
    for offline in ("auto", "only"):
        life = live(PAST, offline=offline, stale_if_error=3600.0, stale_while_revalidate=3600.0)
        found = life.tell("GET")
        assert found.get("error") == "ConnectError" or found["code"] == 504
    server.come()
    assert outcome(live(PAST, offline="auto").tell("GET"))[0] == "version 2"


@pytest.mark.parametrize(("method", "expected"), [("HEAD", (200, "", "fresh")), ("ASK", (304, "", "precondition"))])
def test_a_head_and_a_conditional_request_are_answered_after_a_restart(
    live: Callable[..., Life], server: Away, method: str, expected: tuple[int, str, str]
) -> None:
    fill(live)
    server.asked.clear()
    life = live()
    explained = life.tell(f"EXPLAIN {method}")
    assert (explained["status"], explained["reason"], explained["sends"]) == ("hit", expected[2], False)
    found = life.tell(method)
    assert (found["code"], found["text"], found["reason"], found["status"]) == (*expected, "hit")
    assert life.tell("STATS") == {"hits": 1, "misses": 0, "bypassed": 0}
    assert outcome(life.tell("GET")) == ("version 1", "hit", "fresh"), "it is in memory now"
    assert not server.asked


@pytest.mark.parametrize("method", ["HEAD", "ASK"])
def test_a_head_and_a_conditional_request_go_to_the_server_when_nothing_stored_answers_them(
    live: Callable[..., Life], server: Away, mode: dict[str, Any], method: str
) -> None:
    if method == "ASK" and "rfc9111" in mode:
        pytest.skip("it opens a fetch there")
    fill(live)
    server.asked.clear()
    life = live(PAST)
    explained = life.tell(f"EXPLAIN {method}")
    assert explained["sends"] is True
    found = life.tell(method)
    assert (found["status"], found["reason"]) == (explained["status"], explained["reason"])
    assert server.asked == {"HEAD" if method == "HEAD" else "conditional": 1}
    assert life.tell("STATS") == {"hits": 0, "misses": int(method == "HEAD"), "bypassed": int(method == "ASK")}


def test_a_head_is_answered_after_a_restart_without_a_server(live: Callable[..., Life], server: Away) -> None:
    fill(live, offline="auto")
    server.go()
    life = live(PAST, offline="only")
    assert life.tell("EXPLAIN HEAD")["reason"] == "offline"
    assert outcome(life.tell("HEAD")) == ("", "stale", "offline")
    assert life.tell("HEAD", "/never")["code"] == 504
    assert life.tell("STATS")["misses"] == 1
