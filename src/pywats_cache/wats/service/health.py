"""What the station service says of itself over HTTP: whether it lives and is ready, and what it is busy with."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .service import AsyncClientService

__all__ = ["WITHOUT_QUEUE", "health", "summary"]

WITHOUT_QUEUE = "reports and converters wait for the next start of the service, for it started without credentials"


def health(service: AsyncClientService) -> tuple[bool, bool, dict[str, Any]]:
    """Whether it lives, whether it is ready, and the document of `/health`."""
    connected = service.api is not None and service._stats.get("api_status") == "Online"
    details: dict[str, Any] = {
        "service_status": service._status.value,
        "api_status": service._stats.get("api_status", "Unknown"),
        "api_connected": connected,
        "uptime_seconds": service._get_uptime_seconds(),
        "instance_id": service.instance_id,
        "reloads": service.reloads,
        "cache": _cache(service),
    }
    status = "running" if service.is_running else "stopped"
    document: dict[str, Any] = {"status": status, "timestamp": _now(), "details": details}
    reasons = [] if service.is_running else [f"the service is {status}"]
    if not connected:
        reasons.append("the WATS server is not connected")
    elif service.is_running and service._pending_queue is None:
        reasons.append(WITHOUT_QUEUE)
    if reasons:
        document["reason"] = details["reason"] = ", ".join(reasons)
    return service.is_running, not reasons, document


def _cache(service: AsyncClientService) -> dict[str, Any]:
    cache = service.api.cache if service.api is not None else None
    settings = {
        "ttl_seconds": service._settings.ttl,
        "max_size": service._settings.size,
        "storage": service._settings.url.partition(":")[0] or "memory",
        "offline": service._settings.offline,
    }
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


def summary(service: AsyncClientService) -> dict[str, Any]:
    """What the JSON statistics say beside the cache's figures."""
    found: dict[str, Any] = {"timestamp": _now(), "service": "pywats_client"}
    pool = service._converter_pool
    if pool is not None and hasattr(pool, "queue_size"):
        found["converter_queue"] = {
            "size": pool.queue_size,
            "active_workers": getattr(pool, "active_workers", 0),
            "total_processed": getattr(pool, "total_processed", 0),
        }
    return found


def _now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
