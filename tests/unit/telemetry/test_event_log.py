"""What is logged and kept of the requests that were no plain hits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from pywats_cache import Controller, Read, Write

CONTROLLER = Controller([Read("/a/**", tags=("a",)), Write("/a/**")])
SECRETS = {"Authorization": "Basic c2VjcmV0", "Cookie": "session=c2VjcmV0"}


def recent(client: Any) -> list[tuple[str, str, str]]:
    return [(event.method, event.status, event.reason) for event in client.cache._engine.journal.recent]


def test_debug_lines_carry_outcome_and_reason(cached: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    client = cached(CONTROLLER)
    with caplog.at_level(logging.DEBUG, "pywats_cache"):
        client.get("/a/PN-secret?pin=hush", headers=SECRETS)
        client.get("/a/PN-secret?pin=hush", headers=SECRETS)
        client.put("/a/PN-secret", headers=SECRETS, content=b"body-secret")
    told = [(r.cache_method, r.cache_status, r.cache_reason, r.cache_rule) for r in caplog.records]  # type: ignore[attr-defined]
    assert told == [
        ("GET", "miss", "unknown", "/a/**"),
        ("", "invalidation", "write", "/a/**"),
        ("PUT", "bypass", "write", "/a/**"),
    ]
    assert caplog.messages[1] == "invalidation: write (rule /a/**, 0.0 ms)"
    assert all(record.name == "pywats_cache.journal" for record in caplog.records)
    assert all(record.cache_seconds >= 0 for record in caplog.records)  # type: ignore[attr-defined]
    everything = caplog.text + str([record.__dict__ for record in caplog.records])
    for secret in ("secret", "c2VjcmV0", "hush", "origin"):
        assert secret not in everything.replace("test_journal", "")


def test_hits_are_logged_where_that_was_asked_for(lib: Any, origin: Any, caplog: pytest.LogCaptureFixture) -> None:
    for log_hits, lines in ((False, 1), (True, 3)):
        caplog.clear()
        with (
            caplog.at_level(logging.DEBUG, "pywats_cache"),
            lib.CacheClient(transport=origin.transport, base_url="http://origin", log_hits=log_hits) as client,
        ):
            for _ in range(3):
                client.get("/a")
        assert len(caplog.records) == lines


def test_a_hit_formats_and_keeps_nothing(cached: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    client = cached()
    client.get("/a")
    journal = client.cache._engine.journal
    monkeypatch.setattr(journal, "note", lambda *_: pytest.fail("a hit was told"))
    assert client.get("/a").extensions["pywats_cache"].status == "hit"


def test_failures_and_invalidations_are_kept(cached: Callable[..., Any], origin: Any, lib: Any) -> None:
    client = cached(CONTROLLER)

    def fail(request: Any) -> Any:
        raise lib.http.ConnectError("no")

    client.get("/a/1")
    client.cache.invalidate("/a")
    client.cache.invalidate(tags=("a",), soft=True)
    client.cache.clear()
    origin.reply = fail
    with pytest.raises(lib.http.ConnectError):
        client.get("/a/1")
    assert recent(client) == [
        ("GET", "miss", "unknown"),
        ("", "invalidation", "invalidate"),
        ("", "invalidation", "soft"),
        ("", "invalidation", "clear"),
        ("GET", "error", "ConnectError"),
    ]


def test_a_withdrawn_credential_is_kept_too(cached: Callable[..., Any], origin: Any) -> None:
    client = cached(Controller(drop_on=(401,)))
    origin.reply = {"status_code": 401}
    client.get("/a/1")
    assert recent(client) == [("", "invalidation", "401"), ("GET", "miss", "status")]


def test_only_the_last_events_are_kept(cached: Callable[..., Any]) -> None:
    client = cached()
    for n in range(300):
        client.get(f"/{n}")
    assert len(client.cache._engine.journal.recent) == 128
