"""A store on disk or in Redis, worked on without a service.

Commands that only look leave it as it is. The others do what a process that uses the store does, so that the processes
which share it see the change as they see each other's; and they tell where that fails, instead of going on without it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import httpx
import typer

from ..diagnostics.entries import listed, record_document
from ..diagnostics.store_report import findings, survey
from ..engine.cache_key import is_credential
from ..errors import CachingError, MissingStoreError, StorageError
from ..httpx import CacheClient
from ..policy.controller import Controller
from ..storage.store_reader import Store, look_at
from ..storage.url import storage_from_url
from ..support.showing import shown, shown_url
from .asking import Asking, Progress, check_field
from .loading import load
from .output import REFUSED, UNREACHABLE, USAGE, fail

__all__ = ["Stored"]

AUTHORIZATION = "PYWATS_CACHE_AUTHORIZATION"
TIMEOUT = 30.0
_OF_THE_SDK = {"Accept": "application/json"}
"""What the SDK's clients ask for; requests that ask for another form do not find their answers."""


class Stored:
    """The store at `url`. See `Target`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.name: str = shown_url(url)
        # What goes wrong ends the program with a message; the log would only say it twice.
        logging.getLogger("pywats_cache").addHandler(logging.NullHandler())

    @contextmanager
    def _looking(self) -> Iterator[Store]:
        """The store, unchanged."""
        with self._failing():
            store = look_at(self._url)
            try:
                yield store
            finally:
                store.close()

    @contextmanager
    def _working(self, asking: Asking | None = None) -> Iterator[CacheClient]:
        """A client over the store, which must be there already."""
        headers, controller = _headers(asking), _controller(asking)
        with self._failing():
            storage: Any = storage_from_url(self._url)
            storage.strict = True
            try:
                with CacheClient(
                    storage=storage, controller=controller, headers=headers, timeout=TIMEOUT, follow_redirects=True
                ) as client:
                    yield client
            finally:
                storage.close()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """End the program where something fails."""
        try:
            yield
        except MissingStoreError as error:
            fail(f"{self.name}: {error}", UNREACHABLE)
        except StorageError as error:
            fail(f"{self.name}: {error}", REFUSED)
        except CachingError as error:
            fail(str(error), USAGE)

    def stats(self, progress: Progress) -> dict[str, Any]:
        """What is in the store."""
        with self._looking() as store:
            return survey(store, _counting(store, progress)).document()

    def entries(self, sort: str | None, match: str, tag: str | None, limit: int, progress: Progress) -> dict[str, Any]:
        """The records of the store, and what becomes of them."""
        if sort in ("hits", "saved_seconds"):
            fail(f"a store does not count hits: sort by age, left, path, rule or size, not {sort}", USAGE)
        with self._looking() as store:
            seen = list(store.entries(_counting(store, progress)))
            documents = [record_document(one) for one in seen if one.record is not None]
            found = listed(documents, sort or "age", match, tag, limit)
            return {**found, "unreadable": len(seen) - len(documents), "key_known": store.has_key}

    def explain(self, method: str, url: str, asking: Asking) -> dict[str, Any]:
        """What would happen to a request of a process that uses the store and has nothing in memory yet."""
        _check_url(url)
        headers, controller = _headers(asking), _controller(asking)
        with self._looking() as store:
            _check_key(store)
            nowhere = httpx.MockTransport(lambda request: httpx.Response(500))
            with CacheClient(
                storage=store.storage(), controller=controller, headers=headers, transport=nowhere
            ) as client:
                explanation = client.cache.explain(client.build_request(method.upper(), url))
            return {**asdict(explanation), "text": str(explanation)}

    def doctor(self, progress: Progress) -> dict[str, Any]:
        """What is wrong with the store; what its processes count, their services know."""
        with self._looking() as store:
            return {"findings": [asdict(one) for one in findings(survey(store, _counting(store, progress)))]}

    def warm(self, urls: list[str], concurrency: int, asking: Asking, progress: Progress) -> dict[str, Any]:
        """Fetch into the store."""
        for url in urls:
            _check_url(url)
        with self._looking() as store:
            _check_key(store)
        with self._working(asking) as client:
            return asdict(client.warm(urls, concurrency=concurrency, progress=progress))

    def invalidate(self, path: str | None, tags: list[str], soft: bool) -> None:
        """As a transport's `invalidate`, at every origin."""
        with self._looking():
            pass
        with self._working() as client:
            client.cache.invalidate(path, tags=tuple(tags), soft=soft)

    def clear(self) -> int:
        """As a transport's `clear`."""
        with self._looking() as store:
            before = store.count()
        with self._working() as client:
            client.cache.clear()
        return before


def _counting(store: Store, progress: Progress) -> Any:
    total, done = store.count(), 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(done, max(total, done))

    return count


def _check_url(url: str) -> None:
    try:
        whole = httpx.URL(url).is_absolute_url
    except httpx.InvalidURL:
        whole = False
    if not whole:
        fail(
            f"a store has no base URL: give the whole URL, as https://wats.example/api/Product/A, not {shown_url(url)}",
            USAGE,
        )


def _check_key(store: Store) -> None:
    if not store.has_key:
        fail("set PYWATS_CACHE_DIGEST_KEY to the one of the processes: it keys the names of what is stored", USAGE)


def _controller(asking: Asking | None) -> Controller | None:
    if asking is None or not asking.rules:
        return None
    if asking.rules == "wats":
        try:
            from ..wats import wats_controller
        except ImportError as error:
            fail(f"--rules wats needs the SDK (no {error.name}): pip install 'pywats-cache[cli,wats]'", USAGE)
        return wats_controller()
    must = "--rules must be wats, or module:name of a Controller"
    found = load(asking.rules, must)
    if not isinstance(found, Controller):
        fail(f"{must}, not {shown(found)}", USAGE)
    return found


def _headers(asking: Asking | None) -> httpx.Headers:
    """The header fields of a request: those of the SDK where its rules are named, and those of the command line."""
    if asking is None:
        return httpx.Headers()
    headers = httpx.Headers(_OF_THE_SDK if asking.rules == "wats" else None)
    for line in asking.headers:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            fail("--header must be 'Name: value'", USAGE)
        check_field("--header", line)
        if is_credential(name):
            fail(f"--header {shown(name)}: a credential is not for the command line; see --authorize", USAGE)
        headers[name.strip()] = value.strip()
    given = os.environ.get(AUTHORIZATION, "")
    if not given and asking.authorize:
        if not sys.stdin.isatty():
            fail(f"there is nobody to ask for the Authorization header: set {AUTHORIZATION}", USAGE)
        given = typer.prompt("Authorization header, as 'Basic …' or 'Bearer …'", hide_input=True, err=True)
    if given:
        check_field(f"the Authorization header ({AUTHORIZATION})", given)
        headers["Authorization"] = given
    return headers
