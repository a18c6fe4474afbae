"""The attributes of the current span."""

from __future__ import annotations

import httpx
import pytest

from pywats_cache import AsyncCacheTransport, CacheTransport

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import TracerProvider

from pywats_cache.metrics.tracing import annotate, annotate_async

TRACER = TracerProvider().get_tracer("test")
ORIGIN = httpx.MockTransport(lambda request: httpx.Response(200, text="x"))


def test_the_span_says_what_the_cache_did() -> None:
    client = httpx.Client(transport=CacheTransport(ORIGIN), event_hooks={"response": [annotate]})
    seen = []
    for _ in range(2):
        with TRACER.start_as_current_span("call") as span:
            client.get("http://origin/secret")
        seen.append(dict(span.attributes))
    assert [a["pywats_cache.status"] for a in seen] == ["miss", "hit"]
    assert [a["pywats_cache.reason"] for a in seen] == ["unknown", "fresh"]
    assert [a["pywats_cache.stored"] for a in seen] == [True, True]
    assert seen[1]["pywats_cache.rule"] == "default"
    assert seen[1]["pywats_cache.age"] >= 0
    assert "secret" not in str(seen)
    client.get("http://origin/secret")  # without a span nothing happens


def test_a_response_without_an_outcome_is_left_alone() -> None:
    with TRACER.start_as_current_span("call") as span:
        annotate(httpx.Response(200))
    assert not span.attributes


@pytest.mark.anyio
async def test_async_clients_have_a_hook_too() -> None:
    async with httpx.AsyncClient(
        transport=AsyncCacheTransport(ORIGIN), event_hooks={"response": [annotate_async]}
    ) as client:
        with TRACER.start_as_current_span("call") as span:
            await client.get("http://origin/a")
    assert span.attributes["pywats_cache.status"] == "miss"
