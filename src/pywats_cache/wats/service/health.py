"""What the station service says of itself over HTTP: whether it lives and is ready, and what it is busy with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

__all__ = ["WITHOUT_QUEUE", "ServiceState", "health", "summary"]

WITHOUT_QUEUE = "reports and converters wait for the next start of the service, for it started without credentials"


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The service at one moment, as far as health tells of it.

    - `status`: in the vendor's words; `api_status`: `Online`, or why not.
    - `cache`: what the api caches with; None without an api, or with the cache off.
    - `settings`: what the cache was set up with.
    """

    status: str
    is_running: bool
    has_queue: bool
    api_status: str
    has_api: bool
    uptime: float
    instance: str
    reloads: int
    cache: Any
    settings: dict[str, Any]


def health(state: ServiceState) -> tuple[bool, bool, dict[str, Any]]:
    """Whether it lives, whether it is ready, and the document of `/health`."""
    connected = state.has_api and state.api_status == "Online"
    details: dict[str, Any] = {
        "service_status": state.status,
        "api_status": state.api_status,
        "api_connected": connected,
        "uptime_seconds": state.uptime,
        "instance_id": state.instance,
        "reloads": state.reloads,
        "cache": _cache(state),
    }
    status = "running" if state.is_running else "stopped"
    document: dict[str, Any] = {"status": status, "timestamp": _now(), "details": details}
    reasons = [] if state.is_running else [f"the service is {status}"]
    if not connected:
        reasons.append("the WATS server is not connected")
    elif state.is_running and not state.has_queue:
        reasons.append(WITHOUT_QUEUE)
    if reasons:
        document["reason"] = details["reason"] = ", ".join(reasons)
    return state.is_running, not reasons, document


def _cache(state: ServiceState) -> dict[str, Any]:
    cache, settings = state.cache, state.settings
    if cache is None:
        return {"enabled": False, **settings}
    stats = cache.stats
    return {
        "enabled": True,
        **settings,
        "entries": stats.entries,
        "size_bytes": stats.size_bytes,
        "hit_rate": stats.hit_rate,
        "storage_errors": stats.storage_errors,
    }


def summary(pool: Any) -> dict[str, Any]:
    """What the JSON statistics say beside the cache's figures; `pool`: the vendor's converters, or None."""
    found: dict[str, Any] = {"timestamp": _now(), "service": "pywats_client"}
    if pool is not None and hasattr(pool, "queue_size"):
        found["converter_queue"] = {
            "size": pool.queue_size,
            "active_workers": getattr(pool, "active_workers", 0),
            "total_processed": getattr(pool, "total_processed", 0),
        }
    return found


def _now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
