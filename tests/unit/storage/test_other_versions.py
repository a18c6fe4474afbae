"""Records of other versions in one store: seen from outside, and by a process that uses it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from shared_clients import Make, status

from pywats_cache.diagnostics.store_report import findings, survey
from pywats_cache.storage.shared.backend import Row
from pywats_cache.storage.shared.record_format import FORMAT
from pywats_cache.storage.store_reader import look_at


def earlier(key: str, secret: bytes) -> bytes:
    """A record as the version before wrote it."""
    head = json.dumps({"key": key, "status": 200, "headers": [], "ttl": 60.0, "rule": "default"}).encode()
    rest = len(head).to_bytes(4, "big") + head + b"body"
    return b"pwc\x01" + blake2b(rest, digest_size=16, key=secret).digest() + rest


@pytest.mark.parametrize(
    ("make", "prefix", "state"),
    [
        (earlier, "", "earlier"),
        (lambda key, secret: b"pwc\x03" + b"?" * 200, "3.", "later"),
        (lambda key, secret: b"pwc\x03" + b"?" * 200, FORMAT, "later"),
    ],
)
def test_a_record_of_another_version_is_counted_as_such_and_left_alone(
    process: Make, origin: Any, store: Make, tmp_path: Path, make: Callable[..., bytes], prefix: str, state: str
) -> None:
    storage = store()
    key = process(storage=store()).get("/a").extensions["pywats_cache"].key
    now = time.time()
    there = f"{prefix}{key}"
    variant = f"{prefix}other" if prefix == FORMAT else there
    storage._rows.put(Row(there, variant, make(key, storage._secret), 1, now, now + 60.0), now)
    client = process(storage=storage)
    assert status(client.get("/a")) == "hit"
    assert len(storage._rows.get(there)) == (2 if prefix == FORMAT else 1)
    assert client.cache.stats.storage_errors == 0
    assert [one.code for one in client.cache.doctor()] == (["later-version"] if prefix == FORMAT else [])
    looked = look_at(f"sqlite:///{tmp_path}/c.db")
    made = survey(looked)
    assert made.states == {"fresh": 1, state: 1}
    assert [one.code for one in findings(made)] == (["later-version"] if state == "later" else [])
    looked.close()


def test_a_record_of_an_earlier_version_ends_by_itself(process: Make, origin: Any, store: Make) -> None:
    storage = store()
    client = process(storage=storage)
    client.get("/a")
    storage.flush()
    now = time.time()
    storage._rows.put(Row("k", "k", earlier("k", b""), 1, now - 100.0, now - 40.0), now)
    assert len(storage._rows.get("k")) == 1
    client.get("/b")
    storage.flush()
    assert storage._rows.get("k") == []
