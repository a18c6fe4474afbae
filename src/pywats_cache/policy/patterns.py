"""Path patterns and the table that finds the rules matching a path, the most specific first.

A pattern is a path of segments. A segment is literal, a template (`{name}` or `*`: any one non-empty segment), or,
as the last one, `**` (any number of segments, none included). Paths are matched raw, as they go over the wire, so an
encoded slash (`%2F`) does not end a segment.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

from ..errors import ConfigurationError, ConfigurationTypeError
from ..support.showing import shown

__all__ = ["ANY", "REST", "RouteTable", "parse_pattern"]

ANY = "{}"
"""Stands for any one segment; every template is this one, so that two spellings of a pattern are seen as the same."""
REST = "**"

_TEMPLATE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}|\*")
_T = TypeVar("_T")


def parse_pattern(pattern: object) -> tuple[str, ...]:
    """Split `pattern` into segments. Raises ConfigurationError that names what is malformed."""
    if not isinstance(pattern, str):
        raise ConfigurationTypeError(f"pattern must be a string such as '/api/Product/{{id}}', not {shown(pattern)}")
    problem = _malformed(pattern)
    if problem:
        raise ConfigurationError(
            "pattern must be a path such as '/api/Product/{id}' or '/api/Process/**', "
            f"not {shown(pattern)}: {problem}"
        )
    return tuple(ANY if _TEMPLATE.fullmatch(s) else s for s in pattern.split("/")[1:])


def _malformed(pattern: str) -> str | None:
    if not pattern.startswith("/"):
        return "it must start with '/'"
    if any(c in pattern for c in "?#") or any(c.isspace() for c in pattern):
        return "a query, a fragment or white space is never matched (use bypass_query for parameters)"
    segments = pattern.split("/")[1:]
    for position, segment in enumerate(segments):
        if segment == REST:
            if position != len(segments) - 1:
                return "'**' may only be the last segment"
        elif any(c in segment for c in "{}*") and not _TEMPLATE.fullmatch(segment):
            return f"segment {shown(segment)} must be literal, '{{name}}', '*' or '**'"
        elif not segment.isascii():
            return f"segment {shown(segment)} must be percent-encoded, as it goes over the wire"
        elif segment in (".", ".."):
            return "'.' and '..' never reach a server"
    return None


class _Node(Generic[_T]):
    __slots__ = ("any", "here", "literal", "rest")

    def __init__(self) -> None:
        self.literal: dict[str, _Node[_T]] = {}
        self.any: _Node[_T] | None = None
        self.here: dict[str, _T] = {}
        self.rest: dict[str, _T] = {}


class RouteTable(Generic[_T]):
    """A tree of segments; finding costs O(segments), whatever the number of patterns (templates may double it).

    Built once and then only read, so any number of threads may share it.
    """

    def __init__(self, *, ignore_case: bool = False) -> None:
        self._root: _Node[_T] = _Node()
        self._fold = ignore_case

    def add(self, pattern: str, method: str, value: _T) -> _T | None:
        """Add `value` under pattern and method; return the value that is there already (then nothing is added)."""
        node, slot = self._root, "here"
        for segment in parse_pattern(pattern):
            if segment == REST:
                slot = "rest"
            elif segment == ANY:
                node.any = node = node.any or _Node()
            else:
                node = node.literal.setdefault(segment.casefold() if self._fold else segment, _Node())
        values: dict[str, _T] = getattr(node, slot)
        if method in values:
            return values[method]
        values[method] = value
        return None

    def find(self, path: str, method: str) -> list[_T]:
        """The values that match, the most specific first: literal, then templates, then `**`, the longest first."""
        if self._fold:
            path = path.casefold()
        segments = path.split("/")[1:]
        whole: list[_T] = []
        rest: list[tuple[int, _T]] = []
        nodes = [(self._root, 0)]
        while nodes:
            node, at = nodes.pop()
            if method in node.rest:
                rest.append((at, node.rest[method]))
            if at == len(segments):
                if method in node.here:
                    whole.append(node.here[method])
                continue
            segment = segments[at]
            if node.any is not None and segment:
                nodes.append((node.any, at + 1))
            child = node.literal.get(segment)
            if child is not None:  # last in, so first out
                nodes.append((child, at + 1))
        if rest:
            rest.sort(key=lambda found: -found[0])
            whole += [value for _, value in rest]
        return whole
