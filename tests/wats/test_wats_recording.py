"""The trace of the SDK's clients: lookups too, and nothing that could be read back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pywats_cache import AsyncWATS, CacheTransport, pyWATS
from pywats_cache.diagnostics.simulate import read_trace
from pywats_cache.testing import SimulatedWATS


def statuses(path: Path) -> list[tuple[str, bool]]:
    return [(event["s"], "l" in event) for event in read_trace(path) if event["e"] == "q"]


EXPECTED = [("miss", False), ("hit", True), ("hit", True)]


def test_pywats_records_what_it_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with SimulatedWATS() as server:
        api = pyWATS(base_url=server.base_url, token=server.token, cache_record=path)
        for _ in range(3):
            api.product.get_product("PN-1000")
        api.cache._engine.recorder.flush()  # type: ignore[union-attr, attr-defined]
        api.close()
    assert statuses(path) == EXPECTED
    text = path.read_text("utf-8")
    assert "pn-1000" not in text.casefold()
    assert server.token not in text


def test_async_wats_records_too(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"

    async def ask() -> None:
        async with AsyncWATS(base_url=server.base_url, token=server.token, cache_record=path) as api:
            for _ in range(3):
                await api.product.get_product("PN-1000")
            api.cache._engine.recorder.flush()  # type: ignore[union-attr, attr-defined]

    with SimulatedWATS() as server:
        asyncio.run(ask())
    assert statuses(path) == EXPECTED


def test_a_transport_of_your_own_records_by_itself(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cache_record must not be given together with cache_transport"):
        pyWATS(base_url="http://x", token="t", cache_transport=CacheTransport(), cache_record=tmp_path / "t")
