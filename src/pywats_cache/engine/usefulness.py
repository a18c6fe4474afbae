"""For how long a stored response may be of use once its TTL is over: an outer storage keeps it that long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol.cache_control import parse_cache_control, seconds_of
from ..protocol.conditional import conditional_fields, validating_tag
from ..protocol.dates import date_field
from ..protocol.fields import fields
from ..storage.uses import Uses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..policy.rules import Decision
    from ..storage.entry import StoredResponse

__all__ = ["is_validated_surely", "uses_of"]


def is_validated_surely(headers: Mapping[str, list[str]]) -> bool:
    """Whether a 304 to the validators of a stored response would say that nothing has changed.

    A Last-Modified of the very second of the response says nothing of a change later in that second (RFC 9110
    §8.8.2.2).
    """
    if validating_tag(headers) is not None:
        return True
    modified, date = date_field(headers, "last-modified"), date_field(headers, "date")
    return modified is not None and date is not None and date - modified >= 1.0


def uses_of(entry: StoredResponse, decision: Decision, revalidate_for: float, *, states: bool) -> Uses:
    """The windows of `entry`: those of its rule; where it `states` its own (RFC 5861), the longer ones.

    Whoever reads it judges by the rules of that time; this only bounds how long it is kept.

    - `states`: it is of RFC mode, in which the response has its say, and any validator is asked about.
    """
    headers = fields(entry.headers)
    while_revalidate, if_error = decision.stale_while_revalidate, decision.stale_if_error
    if states:
        said = parse_cache_control(headers.get("cache-control", ()))
        while_revalidate = max(while_revalidate, seconds_of(said, "stale-while-revalidate") or 0.0)
        if_error = max(if_error, seconds_of(said, "stale-if-error") or 0.0)
    may_ask = bool(conditional_fields(headers)) if states else is_validated_surely(headers)
    return Uses(while_revalidate, if_error, decision.offline_for, revalidate_for if may_ask else 0.0)
