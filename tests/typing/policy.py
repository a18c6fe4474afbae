"""A controller with rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from typing_extensions import assert_type

from pywats_cache import Bypass, CachingError, ConfigurationError, ConfigurationTypeError, Controller, Read, Write


def tenant(headers: Mapping[str, str]) -> str:
    return headers.get("x-tenant", "")


def policy() -> Controller:
    controller = Controller(
        rules=[
            Read("/api/Process/**", ttl=1800, tags=("process",)),
            Read("/api/App/DynamicYield", methods=("POST",), ttl=60, stale_while_revalidate=30.0, negative_ttl=5),
            Write("/api/Report/**", methods=("POST",), dirties=("report", "unit"), settle=10),
            Bypass("/api/Production/SerialNumbers/**"),
        ],
        ttl=300.0,
        unmatched="bypass",
        partition=tenant,
        drop_on=(401, 403),
        offline="auto",
        jitter=0.1,
    )
    assert_type(controller.ttl, float)
    assert_type(controller.drop_on, tuple[int, ...])
    assert_type(controller.rules[0], Read | Write | Bypass)
    assert_type(controller.partition, tuple[str, ...] | Callable[[Mapping[str, str]], str])
    assert_type(controller.decide("GET", "/a").ttl, float)
    return Controller(partition=("X-Tenant",), rfc9111=True, cache_status="pywats-cache")


def fields(read: Read, write: Write, bypass: Bypass) -> None:
    assert_type(read.pattern, str)
    assert_type(read.methods, tuple[str, ...])
    assert_type(read.ttl, float | None)
    assert_type(read.statuses, tuple[int, ...])
    assert_type(read.ignore_no_store, bool)
    assert_type(read.adaptive, tuple[float, float] | None)
    assert_type(write.dirties, tuple[str, ...])
    assert_type(write.settle, float | None)
    assert_type(bypass.methods, tuple[str, ...])


def errors() -> None:
    try:
        policy()
    except ConfigurationError as error:
        as_value: ValueError = error
        raise as_value from None
    except ConfigurationTypeError as error:
        as_type: TypeError = error
        raise as_type from None
    except CachingError:
        raise


def mistakes() -> None:
    Controller(unmatched="store")  # type: ignore[arg-type]
    Controller(offline=True)  # type: ignore[arg-type]
    Controller(partition=len)  # type: ignore[arg-type]
    Controller(rules=["/api/**"])  # type: ignore[list-item]
    Controller(ttl=["5m"])  # type: ignore[arg-type]
    Read("/a", tag=("a",))  # type: ignore[call-arg]
    Write("/a", dirties=5)  # type: ignore[arg-type]


def changes(controller: Controller, read: Read, write: Write, bypass: Bypass) -> None:
    read.ttl = 5.0  # type: ignore[misc]
    read.pattern = "/b"  # type: ignore[misc]
    write.dirties = ("a",)  # type: ignore[misc]
    write.settle = None  # type: ignore[misc]
    bypass.methods = ("GET",)  # type: ignore[misc]
    controller.ttl = 5.0  # type: ignore[misc]
    controller.partition = ()  # type: ignore[misc]
