"""Bytes that are counted for what a `Preparer` remembers, measured with tracemalloc on CPython 3.11."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..coherence.tags import NEAR, own_path_tags
from ..storage.entry import BYTES, POINTER, TEXT, HeaderItems

__all__ = ["asked_size", "name_size", "prepared_size"]

REQUEST, ASKED, FIELD, FORM, PLACE = 628, 458, 250, 120, 80
"""On top of texts and values: a request, what its decisive fields come to, each of them, each digest of the form of
answer that they want, and a place in a memo."""


class Remembered(Protocol):
    """What is counted of a classified request."""

    @property
    def tags(self) -> tuple[str, ...]:
        """What its response carries."""

    @property
    def origin(self) -> str:
        """Scheme, host and port."""


class Asked(Protocol):
    """What is counted of what decisive fields come to."""

    @property
    def representations(self) -> Mapping[tuple[str, ...], str]:
        """What they want, by the names of a rule."""


def prepared_size(key: tuple[str, Any, HeaderItems], prepared: Remembered) -> int:
    """Bytes of a request in the memo, with the tags, which what is stored of it counts too."""
    url, tags = key[1], prepared.tags
    texts = len(url.path) + len(prepared.origin) + len(url.query or "") + len(url.fragment or "") + len(url.userinfo)
    # Of a short path only the first two are its own.
    own = tags[:2] if len(tags) <= NEAR + 2 else own_path_tags(tags)
    return REQUEST + POINTER * len(tags) + texts + TEXT * len(own) + len("".join(own))


def asked_size(items: HeaderItems, known: tuple[HeaderItems, Asked]) -> int:
    """Bytes of the decisive fields of requests, and of what they come to."""
    forms = FORM * len(known[1].representations)
    return ASKED + forms + sum([FIELD + len(value) + len(raw) for raw, _, value in items])


def name_size(name: bytes, decisive: object) -> int:
    """Bytes of the name of a header field, and whether it is decisive."""
    return PLACE + BYTES + len(name)
