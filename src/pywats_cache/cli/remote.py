"""A running service, asked over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import typer

from .output import REFUSED, UNREACHABLE, USAGE, fail

__all__ = ["Address", "Secret", "ask", "tell"]

TIMEOUT = 10.0
Address = Annotated[
    str, typer.Option("--url", envvar="PYWATS_CACHE_URL", help="Where the service listens.", show_default=True)
]
Secret = Annotated[
    str, typer.Option("--token", envvar="PYWATS_CACHE_TOKEN", help="The token of the service, which changes need.")
]


def ask(address: str, where: str, /, **parameters: Any) -> dict[str, Any]:
    """Read something. Ends the program with a message where that fails."""
    return _answer(
        "GET", address, where, params={name: value for name, value in parameters.items() if value is not None}
    )


def tell(url: str, path: str, token: str, document: dict[str, Any], timeout: float = TIMEOUT) -> dict[str, Any]:
    """Change something. Ends the program with a message where that fails."""
    return _answer("POST", url, path, json=document, headers={"Authorization": f"Bearer {token}"}, timeout=timeout)


def _answer(method: str, url: str, path: str, *, timeout: float = TIMEOUT, **options: Any) -> dict[str, Any]:
    try:
        response = httpx.request(method, url.rstrip("/") + path, timeout=timeout, trust_env=False, **options)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        fail(f"{url!r} is no address such as http://127.0.0.1:8080: {error}", USAGE)
    except httpx.HTTPError as error:
        fail(
            f"no service answers at {url} ({type(error).__name__}). Give --url, or start one: a station service, "
            "`pywats-cache serve`, or pywats_cache.web.serve(client) in a program.",
            UNREACHABLE,
        )
    try:
        document = response.json()
    except ValueError:
        fail(f"what answers at {url} is no pywats-cache service (status {response.status_code})", UNREACHABLE)
    if not isinstance(document, dict) or (response.is_error and "error" not in document):
        fail(f"what answers at {url} is no pywats-cache service (status {response.status_code})", UNREACHABLE)
    if response.is_error:
        fail(str(document["error"]), USAGE if response.status_code in (400, 413) else REFUSED)
    return document
