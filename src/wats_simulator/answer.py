"""From a route and a request to the answer: the handler, the revisions and the encoding are one atomic step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .call import STAMP, Call, Deferred, Refused, Reply, Route
from .http import Answer, Request
from .state import WATSState

Later = Callable[[Callable[[], None]], bool]
"""Takes an effect; applies it later and returns True, or returns False: it shall be applied at once."""


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    number: int


def answer(
    state: WATSState, route: Route, params: dict[str, str], request: Request, user: User, later: Later
) -> Answer:
    """Run the handler of the route while nobody else reads or changes the state."""
    with state.lock:
        stamp = f"user={user.name} revision={state.revision(route.tags)}"
        call = Call(state, user.name, params, request.query, request.body, stamp)
        try:
            value = route.handler(call)
            if isinstance(value, Deferred):
                value = _deferred(state, route, value, later)
            elif route.kind == "write":
                state.dirty(route.tags)
        except Refused as refused:
            return message(refused.status, refused.message)
        except Exception as error:  # noqa: BLE001 - whoever sent what no handler expects shall read what went wrong
            if route.kind == "write":
                state.dirty(route.tags)  # half of it may have happened
            what = f"{type(error).__name__}: {error}"
            return message(500, f"SimulatedWATS cannot handle this {route.method} {route.template}: {what}")
        if isinstance(value, Reply):
            return Answer(value.status, value.body, value.content_type)
        return Answer(body=_encoded(value, user, state.revision(route.tags)))


def _deferred(state: WATSState, route: Route, deferred: Deferred, later: Later) -> Any:
    def apply() -> None:
        with state.lock:
            deferred.apply()
            state.dirty(route.tags)

    if not later(apply):
        apply()
    return deferred.answer


def message(status: int, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an error as WATS sends it."""
    return Answer(status, _json({"message": text}), headers=headers or {})


def _encoded(value: Any, user: User, revision: int) -> bytes:
    """Encode as JSON with the stamp in the object, or in the first object of a list.

    What has no place for a field (a number, an empty list, a list of names) carries the stamp as white space behind
    the value, which JSON ignores: the bits of the revision and of the user's number as blanks and tabs.
    """
    stamp = {"user": user.name, "revision": revision}
    if isinstance(value, dict):
        return _json({**value, STAMP: stamp})
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _json([{**value[0], STAMP: stamp}, *value[1:]])
    bits = f"{revision:b} {user.number:b}".translate({ord("0"): " ", ord("1"): "\t", ord(" "): "\n"})
    return _json(value) + bits.encode()


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
