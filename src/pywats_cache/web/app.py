"""The ASGI application: metrics, health, what is in the cache, and what an operator may do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..diagnostics.entries import entry_document, listed
from ..errors import CachingError
from ..support.showing import shown
from ..telemetry.outcome import meaning
from .documents import stats_document, vendor_document
from .guard import Guard
from .page import FILES, page_file
from .settings import Settings, SettingsError
from .subject import Subject

__all__ = ["build_app"]

Handler = Callable[[Request], Awaitable[Response]]
Health = Callable[[], tuple[bool, bool, dict[str, Any]]]
"""Says whether the service is healthy, whether it is ready, and the details."""
_FRESH = {"Cache-Control": "no-cache, no-store, must-revalidate"}
MAX_BODY = 1 << 20


class _Refused(Exception):  # noqa: N818 - answered, never seen by a caller
    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


def build_app(
    subject: Callable[[], Subject | None],
    guard: Guard,
    *,
    health: Health | None = None,
    summary: Callable[[], dict[str, Any]] = dict,
    exposition: Callable[[], bytes | None] = lambda: None,
    settings: Settings | None = None,
) -> Starlette:
    """The application over whatever `subject` returns at the time; None: there is no client yet.

    - `health`: for the probes; None: it is healthy and ready while there is a client.
    - `summary`: more parts of the JSON statistics.
    - `exposition`: the Prometheus text; None: there is none, so `/metrics` answers in JSON.
    - `settings`: what can be set from the page; None: nothing.
    """

    def current() -> Subject:
        found = subject()
        if found is None:
            raise _Refused(503, "there is no client yet")
        if found.transport is None:
            raise _Refused(409, "the cache is off")
        return found

    def state() -> tuple[bool, bool, dict[str, Any]]:
        return health() if health is not None else (True, subject() is not None, {})

    async def metrics(request: Request) -> Response:
        found = subject()
        text = None if _wants_json(request) else exposition()
        if text is not None:
            return Response(text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8", **_FRESH})
        return _json({**summary(), "http_cache": vendor_document(found.figures() if found else None)})

    async def alive(request: Request) -> Response:
        return _json({"status": "alive"})

    async def healthy(request: Request) -> Response:
        good, _, details = state()
        if good:
            return _json({"status": "ok"})
        return _json({"status": "unhealthy", "reason": details.get("reason", details.get("status", ""))}, 503)

    async def ready(request: Request) -> Response:
        _, good, details = state()
        if good:
            return _json({"status": "ready"})
        return _json({"status": "not ready", "reason": details.get("reason", details.get("status", ""))}, 503)

    async def details(request: Request) -> Response:
        good, _, found = state()
        return _json({**found, "healthy": good}, 200 if good else 503)

    async def stats(request: Request) -> Response:
        found = subject()
        document = stats_document(found.name if found else "", found.figures() if found else None)
        return _json({**document, "settings": settings is not None})

    async def entries(request: Request) -> Response:
        asked = request.query_params
        sort, limit = asked.get("sort", "hits"), _number(asked.get("limit", "100"), "limit")
        found = current()
        now = found.now()
        documents = [entry_document(entry, now) for entry in found.entries()]
        return _json(listed(documents, sort, asked.get("match", ""), asked.get("tag"), limit))

    async def explain(request: Request) -> Response:
        url = request.query_params.get("url", "")
        if not url:
            raise _Refused(400, "url is missing")
        explanation = await current().explain(request.query_params.get("method", "GET"), url)
        return _json({**asdict(explanation), "text": str(explanation)})

    async def doctor(request: Request) -> Response:
        return _json({"findings": [asdict(finding) for finding in current().findings()]})

    async def events(request: Request) -> Response:
        newest = reversed(current().events())
        return _json({"events": [{**event._asdict(), "meaning": meaning(event.reason)} for event in newest]})

    async def invalidate(request: Request) -> Response:
        given = await _body(request)
        path, tags = given.get("path"), given.get("tags", [])
        if not isinstance(tags, list):
            raise _Refused(400, f"tags must be a list of strings, not {shown(tags)}")
        await current().invalidate(path, tuple(tags), given.get("soft", False))
        return _json({"invalidated": {"path": path, "tags": tags}})

    async def clear(request: Request) -> Response:
        found = current()
        before = len(found.entries())
        await found.clear()
        return _json({"cleared": before})

    async def warm(request: Request) -> Response:
        given = await _body(request)
        urls = given.get("urls")
        if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
            raise _Refused(400, f"urls must be a list of strings, not {shown(urls)}")
        return _json(asdict(await current().warm(urls, given.get("concurrency", 4))))

    async def set_up(request: Request) -> Response:
        if settings is None:
            raise _Refused(404, "the settings of this program are in its code")
        if request.method != "POST":
            return _json(await settings.document())
        given = await _body(request)
        changes, version = given.get("changes"), given.get("version")
        if not isinstance(changes, dict):
            raise _Refused(400, f"changes must be an object of fields and values, not {shown(changes)}")
        if version is not None and not isinstance(version, str):
            raise _Refused(400, f"version must be a string, not {shown(version)}")
        return _json(await settings.change(changes, version))

    reads = {
        "/": to_page,
        "/cache/": to_page,
        "/metrics": metrics,
        "/health": healthy,
        "/health/live": alive,
        "/health/ready": ready,
        "/health/details": details,
        "/cache/stats": stats,
        "/cache/entries": entries,
        "/cache/explain": explain,
        "/cache/doctor": doctor,
        "/cache/events": events,
        **dict.fromkeys(FILES, page_file),
    }
    changes = {"/cache/invalidate": invalidate, "/cache/clear": clear, "/cache/warm": warm}
    routes = [Route(path, _guarded(handler, guard.against_reading)) for path, handler in reads.items()]
    routes += [
        Route(path, _guarded(handler, guard.against_reading, guard.against_change), methods=["POST"])
        for path, handler in changes.items()
    ]
    guards = (guard.against_reading, guard.against_change)  # who may see the settings may change them
    routes.append(Route("/cache/settings", _guarded(set_up, *guards), methods=["GET", "POST"]))
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False  # it would redirect to its own address, not to the proxy's
    return app


async def to_page(request: Request) -> Response:
    """Lead to the page, by a path that is right below any prefix."""
    start = request.scope.get("pywats_cache.from")
    to = f"{start}/cache" if start else "../cache" if request.scope["path"] == "/cache/" else "cache"
    return Response(status_code=307, headers={"Location": to, **_FRESH})


def _guarded(handler: Handler, *refusals: Callable[[Request], str | None]) -> Handler:
    """`handler` behind `refusals`, its errors answered in JSON."""

    async def answer(request: Request) -> Response:
        for refusal in refusals:
            why = refusal(request)
            if why is not None:
                return _json(
                    {"error": why, **({"field": "token"} if refusal.__name__ == "against_change" else {})}, 403
                )
        try:
            return await handler(request)
        except _Refused as refused:
            return _json({"error": str(refused)}, refused.status)
        except SettingsError as refused:
            return _json({"error": str(refused), "field": refused.field}, refused.status)
        except (CachingError, ValueError, TypeError) as error:
            return _json({"error": str(error)}, 400)
        except LookupError as error:
            return _json({"error": str(error)}, 409)

    return answer


def _json(document: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(document, status, headers=_FRESH)


def _wants_json(request: Request) -> bool:
    return request.query_params.get("format") == "json" or "application/json" in request.headers.get("accept", "")


def _number(text: str, name: str) -> int:
    if not text.isdecimal():
        raise _Refused(400, f"{name} must be a whole number, not {shown(text)}")
    return int(text)


async def _body(request: Request) -> dict[str, Any]:
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise _Refused(413, f"the body must not be larger than {MAX_BODY} bytes")
    try:
        given = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise _Refused(400, "the body must be JSON") from None
    if not isinstance(given, dict):
        raise _Refused(400, "the body must be a JSON object")
    return given
