"""The SDK's `invalidate_cache(pattern)`: by a substring of its cache key, `GET:/api/Product/PN-1000?$top=5`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol.paths import normal_path

if TYPE_CHECKING:
    from ..transport.base import Mounted

__all__ = ["invalidate_matching"]


def invalidate_matching(mounted: Mounted, pattern: str | None) -> None:
    """Make invalid what is stored, or being fetched, under a path that contains `pattern` (case counts for nothing).

    A superset of what the SDK drops: everything below such a path too, and everything at all for None or for a
    pattern that may mean a part of a query, which is not kept.
    """
    wanted = None if pattern is None else pattern.removeprefix("GET:").casefold()
    # What only an outer storage still holds is not listed anywhere.
    if not wanted or any(mark in wanted for mark in "?=&$") or mounted._outer is not None:
        mounted._engine.storage.clear()
        return
    spelled = "/".join(("", *normal_path(wanted))) if wanted.startswith("/") else wanted
    mounted._engine.invalidate_paths(lambda path: wanted in path or spelled in path)
