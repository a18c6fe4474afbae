"""The Responses of stored answers in RFC mode: with their Age, and parts of what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..protocol.freshness import age_field
from ..protocol.ranges import ByteRange, partial_items, unsatisfied_items
from ..storage.entry import StoredResponse
from ..telemetry.outcome import EXTENSION, CacheOutcome, Reason, Status
from .http_library import field_lines
from .responses import Answers

if TYPE_CHECKING:
    from ..support.http_types import HttpResponse

__all__ = ["RfcAnswers"]


class RfcAnswers(Answers):
    """Answers whose age is told (RFC 9111 §5.1), and that may be partial."""

    def _fill(self, response: Any, entry: StoredResponse, outcome: CacheOutcome) -> None:
        super()._fill(response, entry, outcome)
        response.headers._list += _age(outcome.age)

    def first(self, entry: StoredResponse, reason: Reason, received: HttpResponse, *, stored: bool) -> HttpResponse:
        """The Response of an answer just received. Not all of its fields are stored, but the caller gets them all."""
        response: Any = super().first(entry, reason, received, stored=stored)
        outcome = response.extensions[EXTENSION]
        response.headers = received.headers
        self.mark(response, outcome)
        return response  # type: ignore[no-any-return]

    def not_modified(
        self, entry: StoredResponse, age: float | None, status: Status = "hit", reason: Reason = "precondition"
    ) -> HttpResponse:
        """The 304 to a caller who holds what is stored (RFC 9110 §15.4.5)."""
        response = super().not_modified(entry, age, status, reason)
        field_lines(response.headers).extend(_age(age))
        return response

    def partial(
        self, entry: StoredResponse, part: ByteRange, age: float | None, status: Status, reason: Reason
    ) -> HttpResponse:
        """The 206 of a part of what is stored, or the 416 where there is no such part (RFC 9110 §14)."""
        length = len(entry.raw)
        if part.satisfiable:
            code, items, body = 206, partial_items(entry.headers, part, length), entry.raw[part.start : part.stop]
        else:
            code, items, body = 416, unsatisfied_items(length), b""
        headers = [(name, value) for name, _, value in (*items, *_age(age))]
        response: HttpResponse = self.unread(self.library.response(code, headers=headers, content=body))
        self.mark(response, CacheOutcome(status, reason, age, entry.ttl, entry.key, True, entry.rule))
        return response


def _age(age: float | None) -> tuple[tuple[bytes, bytes, bytes], ...]:
    """The Age field; none where the age is not known."""
    return () if age is None else ((b"Age", b"age", age_field(age).encode()),)
