"""The README's comparison with other caches says what comes out when each is asked."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest
from peers import LONG, PEERS, Origin, Send

README = Path(__file__).resolve().parents[2] / "README.md"


def value(answer: Any) -> dict[str, str]:
    found: dict[str, str] = answer.data if hasattr(answer, "data") else answer.json()
    return found


def a_hit_asks_nobody(send: Send, origin: Origin) -> bool:
    send("GET", "/a")
    send("GET", "/a")
    return origin.seen == ["GET"]


def a_write_is_seen(send: Send, origin: Origin) -> bool:
    send("GET", "/a")
    send("PUT", "/a", "new")
    return value(send("GET", "/a"))["value"] == "new"


def a_write_to_the_collection_is_seen(send: Send, origin: Origin) -> bool:
    send("GET", "/things/a")
    send("PUT", "/things", "new")
    return value(send("GET", "/things/a"))["value"] == "new"


def a_read_in_flight_is_not_kept(send: Send, origin: Origin) -> bool:
    origin.hold.set()
    reader = threading.Thread(target=send, args=("GET", "/a"))
    reader.start()
    assert origin.reading.wait(LONG)
    origin.hold.clear()
    send("PUT", "/a", "new")
    origin.release.set()
    reader.join(LONG)
    return value(send("GET", "/a"))["value"] == "new"


def users_are_kept_apart(send: Send, origin: Origin) -> bool:
    return len({value(send("GET", "/me", token=name))["for"] for name in ("one:1", "two:2")}) == 2


def forms_are_kept_apart(send: Send, origin: Origin) -> bool:
    kinds = ("application/json", "application/xml", "application/json")
    return [value(send("GET", "/a", accept=kind))["as"] for kind in kinds] == list(kinds)


def a_post_query_is_cached_by_its_body(send: Send, origin: Origin) -> bool:
    answers = [value(send("POST", "/query", text))["value"] for text in ("one", "two", "one", "two")]
    return answers == ["one", "two", "one", "two"] and len(origin.seen) == 2


def a_callers_change_stays_with_it(send: Send, origin: Origin) -> bool:
    value(send("GET", "/a"))["value"] = "spoilt"
    value(send("GET", "/a"))["value"] = "spoilt"
    return value(send("GET", "/a"))["value"] == "old"


CLAIMS = {
    "a second GET asks nobody": a_hit_asks_nobody,
    "a PUT is seen by the next GET of its URL": a_write_is_seen,
    "a PUT to a collection is seen by the next GET of a member": a_write_to_the_collection_is_seen,
    "a GET in flight during a PUT is not served after it": a_read_in_flight_is_not_kept,
    "users with other credentials get their own answers": users_are_kept_apart,
    "readers of JSON and of XML get their own answers, without `Vary`": forms_are_kept_apart,
    "POST queries can be cached by their body": a_post_query_is_cached_by_its_body,
    "a caller that changes its answer changes nobody else's": a_callers_change_stays_with_it,
}


def table() -> dict[str, dict[str, str]]:
    rows = re.findall(r"^\| (.+) \|$", README.read_text("utf-8").split("<summary>", 1)[1], re.MULTILINE)
    _, *names = [cell.strip() for cell in rows[0].split("|")]
    return {
        claim.strip(): dict(zip(names, (cell.strip() for cell in cells), strict=True))
        for claim, *cells in (row.split("|") for row in rows[1:])
        if len(cells) == len(names) and not claim.startswith("-")
    }


def test_the_readme_compares_what_is_tested() -> None:
    assert set(CLAIMS) == set(table())
    assert {name for row in table().values() for name in row} == set(PEERS)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("claim", CLAIMS)
def test_the_readme_says_what_comes_out(claim: str, peer: str) -> None:
    with Origin() as origin:
        send, close = PEERS[peer](origin)
        try:
            came_out = CLAIMS[claim](send, origin)
        finally:
            close()
    assert table()[claim][peer] == ("yes" if came_out else "no")
