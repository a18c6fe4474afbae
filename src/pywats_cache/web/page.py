"""The page: files that ask the service they come from, and nobody else."""

from __future__ import annotations

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

__all__ = ["FILES", "page_file"]

FILES = {
    "/cache": ("page.html", "text/html; charset=utf-8"),
    "/cache/page.css": ("page.css", "text/css; charset=utf-8"),
    "/cache/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/cache/settings.js": ("settings.js", "text/javascript; charset=utf-8"),
    "/cache/plot.js": ("plot.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    # Nothing from outside, no frame around it, no form to elsewhere; style attributes carry colours only.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


async def page_file(request: Request) -> Response:
    """One of the files."""
    name, kind = FILES[request.scope["path"]]
    content = files(__package__).joinpath("static").joinpath(name).read_bytes()
    return Response(content, headers={"Content-Type": kind, **_HEADERS})
