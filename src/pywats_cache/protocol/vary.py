"""Which stored variant a request selects: what the fields that Vary names are compared by (RFC 9111 §4.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .fields import OWS, listed_names, lowered

__all__ = ["preferred_language", "selecting_value", "vary_names"]

Headers = Mapping[str, list[str]]

_PREFERENCES = frozenset({"accept", "accept-charset", "accept-encoding", "accept-language"})
# A comma in these does not make a list: to normalise them could make two values one.
_VERBATIM = frozenset({"authorization", "cookie", "user-agent", "referer", "date", "from"})
_MEMBER = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"|")+')
_WEIGHT = re.compile(r"[ \t]*;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)[ \t]*$", re.IGNORECASE | re.ASCII)


def selecting_value(name: str, lines: list[str] | None) -> str | None:
    """What a field that Vary names is compared by (RFC 9111 §4.1): equal for what means the same. None: not sent.

    Lines are combined and white space around members goes; preferences (Accept-Language and the like) also ignore case
    and order, which their weights alone express (RFC 9110 §12.4.2).
    """
    if lines is None:
        return None
    if name in _VERBATIM:
        return "; ".join(lines) if name == "cookie" else ", ".join(lines)
    members = [member for part in _MEMBER.findall(",".join(lines)) if (member := part.strip(OWS))]
    if name in _PREFERENCES:
        return ",".join(sorted({_weighed(member) for member in members}))
    return ",".join(members)


def _weighed(member: str) -> str:
    value, weight = _member(member)
    kind, semicolon, parameters = value.partition(";")
    return f"{lowered(kind.strip(OWS))}{semicolon}{parameters.strip(OWS)};q={weight:g}"


def _member(member: str) -> tuple[str, float]:
    found = _WEIGHT.search(member)
    return (member, 1.0) if found is None else (member[: found.start()], float(found[1]))


def preferred_language(request: Headers) -> str | None:
    """The one language that Accept-Language weighs above all others, in lower case; None without one.

    A stored answer whose Vary names nothing but Accept-Language, and whose Content-Language is this, answers the
    request although it was fetched for another preference: the server has no better.
    """
    best: dict[str, float] = {}
    for line in request.get("accept-language", ()):
        for part in line.split(","):
            if part.strip(OWS):
                value, weight = _member(part)
                best[lowered(value.strip(OWS))] = weight
    top = [value for value, weight in best.items() if weight == max(best.values()) and weight > 0]
    return top[0] if len(top) == 1 and top[0] != "*" else None


def vary_names(headers: Mapping[str, list[str]]) -> tuple[str, ...]:
    """The request headers that selected this answer (RFC 9110 §12.5.5), in lower case, sorted."""
    lines = headers.get("vary")
    return tuple(sorted(listed_names(lines))) if lines else ()
