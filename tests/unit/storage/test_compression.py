"""Bodies beyond memory are compressed where it helps, and nothing but the very body comes back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import hishel
import pytest

from pywats_cache import MemoryStorage, SharedStorage, StorageError, TieredStorage
from pywats_cache.storage import compression
from pywats_cache.storage.compression import LEAST_BYTES, expand, squeeze
from pywats_cache.storage.entry import StoredResponse
from pywats_cache.storage.shared.record_format import pack, unpack

JSON = json.dumps([{"part": f"PN-{n}", "state": "active"} for n in range(500)]).encode()


def entry_of(raw: bytes) -> StoredResponse:
    return StoredResponse(
        key="k",
        status=200,
        headers=(),
        raw=raw,
        content=raw,
        extensions={},
        began=0.0,
        ttl=1.0,
        own_ttl=False,
        tags=(),
        epoch=1,
        vary=(),
        rule="r",
    )


def test_text_is_compressed_and_comes_back() -> None:
    packed = squeeze(entry_of(JSON))
    assert packed is not None
    assert len(packed) < len(JSON) / 4
    assert expand(packed, len(JSON)) == JSON
    data = pack(entry_of(JSON), wall=0.0, generation="g", packed=packed)
    assert len(data) < len(JSON) / 2
    assert unpack(data).raw == JSON


@pytest.mark.parametrize(
    "raw", [b"", b"a" * (LEAST_BYTES - 1), os.urandom(5000), os.urandom(1 << 20), os.urandom(8000) + b"a" * 200]
)
def test_what_gains_too_little_is_left_alone(raw: bytes) -> None:
    assert squeeze(entry_of(raw)) is None


def test_without_the_module_nothing_is_compressed_and_what_is_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = squeeze(entry_of(JSON))
    assert packed is not None
    monkeypatch.setattr(compression, "_module", lambda: None)
    assert squeeze(entry_of(JSON)) is None
    with pytest.raises(StorageError, match=r"pywats-cache\[zstd\]"):
        expand(packed, len(JSON))


@pytest.mark.parametrize("harm", [lambda data: data[:-3], lambda data: b"?" * 50, lambda data: b""])
def test_damaged_data_is_refused(harm: Any) -> None:
    packed = squeeze(entry_of(JSON))
    with pytest.raises(StorageError, match="damaged"):
        expand(harm(packed), len(JSON))


@pytest.mark.parametrize("length", [1, len(JSON) - 1, len(JSON) + 1])
def test_another_length_is_refused_without_making_more_of_it(length: int) -> None:
    packed = squeeze(entry_of(JSON))
    assert packed is not None
    with pytest.raises(StorageError, match="another length"):
        expand(packed, length)


@pytest.mark.parametrize("kind", ["shared", "tiered"])
def test_the_savings_are_in_the_statistics(cached: Any, origin: Any, tmp_path: Path, kind: str) -> None:
    memory = MemoryStorage(max_entries=1)
    storage: Any
    if kind == "shared":
        storage = SharedStorage(tmp_path / "c.db", memory=memory)
    else:
        storage = TieredStorage(memory, hishel.SqliteStorage(database_path=tmp_path / "c.db"))
    origin.reply = {"content": JSON}
    client = cached(storage=storage)
    assert client.get("/a").content == JSON
    if kind == "shared":
        storage.flush()
    assert len(JSON) * 0.7 < client.cache.stats.saved_bytes < len(JSON)
    origin.reply = {"content": b"small"}
    client.get("/b")
    again = client.get("/a")
    assert again.extensions["pywats_cache"].status == "hit"
    assert again.content == JSON
    (storage if kind == "shared" else storage.outer).close()
