"""One call of the simulated server, what answers it, and the row of the route table that says which."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl

from .state import WATSState

Json = dict[str, Any]
STAMP = "simulated"
"""The extra field in every JSON answer: who asked, and how often the tags of the route were dirtied."""


class Refused(Exception):  # noqa: N818 - an answer, not an error of this program
    """The call is answered with an error status and a message instead of data."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is not plain JSON with status 200."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Deferred:
    """An answer now, and its effect on the state `process_delay` seconds later."""

    answer: Any
    apply: Callable[[], None]


@dataclass(slots=True)
class Call:
    """A request whose user is known and whose route was found."""

    state: WATSState
    user: str
    params: dict[str, str]
    raw_query: str
    body: bytes
    stamp: str
    """What a text or binary answer carries where a JSON answer has the field `simulated`."""
    _query: dict[str, str] | None = None

    def query(self, name: str, default: str = "") -> str:
        """Return a query parameter; names have no case, of repeated ones the last counts."""
        if self._query is None:
            pairs = parse_qsl(self.raw_query, keep_blank_values=True)
            self._query = {key.casefold(): value for key, value in pairs}
        return self._query.get(name.casefold(), default)

    def number(self, name: str, default: int = 0) -> int:
        """Return a query parameter as a whole number; 400 when it is none."""
        value = self.query(name)
        if not value:
            return default
        try:
            return int(value)
        except ValueError:
            raise Refused(400, f"{name} must be a whole number, not {value!r}") from None

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a query parameter as true or false."""
        return self.query(name, str(default)).casefold() in ("true", "1", "yes")

    def json(self) -> Any:
        """Return the body as JSON (None when empty), without the field this server adds; 400 when it is no JSON."""
        if not self.body:
            return None
        try:
            value = json.loads(self.body)
        except ValueError:
            raise Refused(400, "the body is not JSON") from None
        if isinstance(value, dict):
            value.pop(STAMP, None)
        return value

    def object(self) -> Json:
        """Return the body as a JSON object; 400 when it is something else."""
        value = self.json()
        if not isinstance(value, dict):
            raise Refused(400, "the body must be a JSON object")
        return value

    def objects(self) -> list[Json]:
        """Return the body as a list of JSON objects; 400 when it is something else."""
        value = self.json()
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise Refused(400, "the body must be a JSON list of objects")
        return value

    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode("utf-8", "replace")


Handler = Callable[[Call], Any]
Kind = Literal["read", "write", "live"]


@dataclass(frozen=True, slots=True)
class Route:
    """One row: what a method and a path do, and which tags they read or dirty."""

    method: str
    template: str
    kind: Kind
    tags: tuple[str, ...]
    handler: Handler


def read(method: str, template: str, handler: Handler, *tags: str) -> Route:
    """Row of a call that reads data with these tags."""
    return Route(method, template, "read", tags, handler)


def write(method: str, template: str, handler: Handler, *tags: str) -> Route:
    """Row of a call that changes data with these tags."""
    return Route(method, template, "write", tags, handler)


def live(method: str, template: str, handler: Handler) -> Route:
    """Row of a call that must always be asked anew: interlocks, polls, tokens, pools."""
    return Route(method, template, "live", (), handler)


def found(item: Any, what: str) -> Any:
    """Return the item; 404 when it is None."""
    if item is None:
        raise Refused(404, f"{what} does not exist")
    return item


def picked(item: Json, *names: str) -> Any:
    """Return the first of these fields that the object has, comparing names without case."""
    folded = {key.casefold(): value for key, value in item.items()}
    for name in names:
        value = folded.get(name.casefold())
        if value is not None:
            return value
    return None
