"""What requests other than GET do to stored answers (RFC 9111 §4.3.5, §4.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urljoin, urlsplit

from .conditional import matches
from .fields import OWS, lowered

if TYPE_CHECKING:
    from .freshness import Freshness

__all__ = ["SAFE_METHODS", "head_effect", "invalidated", "usable_for_get"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1

Headers = Mapping[str, list[str]]

_OF_A_URL = "".join(chr(code) for code in range(0x21, 0x7F))


def usable_for_get(status: int, url: str, headers: Headers, fresh: Freshness) -> bool:
    """Whether a POST's answer is the representation of its own URL, with explicit freshness (RFC 9110 §9.3.3)."""
    locations = headers.get("content-location", ())
    if status != 200 or not fresh.explicit or fresh.lifetime <= 0 or len(locations) != 1:
        return False
    target = _absolute(url, "")
    return target is not None and _absolute(url, locations[0]) == target


def invalidated(method: str, status: int, url: str, headers: Headers) -> list[str]:
    """The absolute URLs that the answer to an unsafe request makes invalid (RFC 9111 §4.4); [] for none.

    - `url`: absolute, of the request. Location and Content-Location count on the same origin only, and not at all if
      this URL cannot be taken apart; httpx takes a port above 65535.
    """
    if method in SAFE_METHODS or not 200 <= status < 400:
        return []
    target = _absolute(url, "")
    if target is None:
        return [url]
    found = [target]
    for name in ("location", "content-location"):
        for value in headers.get(name, ()):
            other = _absolute(url, value)
            if other is not None and _origin(other) == _origin(target):
                found.append(other)
    return list(dict.fromkeys(found))


def head_effect(status: int, head: Headers, stored: Headers) -> Literal["update", "invalidate", "nothing"]:
    """What the answer to a HEAD does to the stored answer of the GET (RFC 9111 §4.3.5)."""
    if status != 200:
        return "nothing"
    return "update" if matches(head, stored) else "invalidate"


def _absolute(url: str, reference: str) -> str | None:
    """`reference` resolved against `url`, without fragment, scheme and host in lower case; None if it is not a URL.

    A byte above 0x7F is percent-encoded (RFC 3986 §2.1), as it is in the URL of a request.
    """
    try:
        parts = urlsplit(urljoin(url, quote(reference.strip(OWS), safe=_OF_A_URL, encoding="latin-1")))
        port = parts.port
    except ValueError:
        return None
    host = lowered(parts.hostname or "")
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}.get(parts.scheme)
    where = host if port is None or port == default else f"{host}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{where}{parts.path or '/'}{query}"


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
