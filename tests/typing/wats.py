"""The SDK's clients with the cache: the services keep the types of the SDK, the sync ones without `await`."""

from __future__ import annotations

import pywats
from pywats.domains.process.models import ProcessInfo
from pywats.domains.product import AsyncProductService
from pywats.domains.product.models import Product, ProductRevision
from pywats.domains.report.models import ReportHeader
from typing_extensions import assert_type

from pywats_cache import AsyncCacheTransport, AsyncWATS, CacheStats, CacheTransport, Controller, MemoryStorage, pyWATS
from pywats_cache.wats import AsyncHttpClient, HttpClient, wats_controller


def sync() -> None:
    with pyWATS(
        base_url="https://wats.example",
        token="secret",
        enable_cache=True,
        cache_ttl=600,
        cache_max_size=1000,
        cache_storage=MemoryStorage(),
        cache_controller=wats_controller(600.0),
    ) as api:
        assert_type(api, pyWATS)
    assert_type(api.product.get_product("PN-1000"), Product | None)
    assert_type(api.product.get_products(), list[Product])
    assert_type(api.product.get_revision("PN-1000", "A"), ProductRevision | None)
    assert_type(
        api.product.get_box_build_template("PN-1000", "A").set_quantity("B", "1", 2).save().parent_revision, str
    )
    assert_type(api.process.get_processes(), list[ProcessInfo])
    assert_type(api.report.get_headers_by_serial("SN-1", top=5), list[ReportHeader])
    assert_type(api.software.delete_package_by_name("tool"), bool)
    if api.cache is not None:
        assert_type(api.cache, CacheTransport)
        assert_type(api.cache.stats, CacheStats)
        api.cache.invalidate("/api/Product")
    vendor: pywats.pyWATS = api
    vendor.close()


async def asynchronous() -> None:
    async with AsyncWATS(base_url="https://wats.example", token="secret", cache_ttl_seconds=60) as api:
        assert_type(api.product, AsyncProductService)
        assert_type(await api.product.get_product("PN-1000"), Product | None)
        if api.cache is not None:
            assert_type(api.cache, AsyncCacheTransport)
            await api.cache.clear()
    vendor: pywats.AsyncWATS = api
    await vendor.close()


def parts() -> None:
    assert_type(wats_controller(300.0), Controller)
    assert_type(HttpClient("https://wats.example", "secret").cache, CacheTransport | None)
    assert_type(AsyncHttpClient("https://wats.example", "secret").cache, AsyncCacheTransport | None)


def mistakes(api: pyWATS) -> None:
    pyWATS(base_url="https://wats.example", token="secret", cache_tll=600)  # type: ignore[call-arg]
    pyWATS(cache_transport=AsyncCacheTransport())  # type: ignore[arg-type]
    api.cache.stats  # type: ignore[union-attr]
    api.produkt  # type: ignore[attr-defined]
    api.product.get_prodcut("PN-1000")  # type: ignore[attr-defined]
    api.product.get_product(5)  # type: ignore[arg-type]
