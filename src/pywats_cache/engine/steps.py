"""What the engine asks a transport to do next."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from ..coherence.single_flight import Flight, Landing
from ..storage.entry import StoredResponse
from ..storage.uses import Uses
from ..telemetry.outcome import CacheOutcome, Reason
from .classify import Prepared
from .http_library import Parts
from .usefulness import uses_of

if TYPE_CHECKING:
    from typing import TypeAlias

    from ..support.http_types import HttpRequest, HttpResponse
    from .judging import Verdict

    Next: TypeAlias = "HttpResponse | Join | Fetch | Forward | Stale"
    """An answer, or what comes before it."""

__all__ = ["LEFT", "Body", "Fetch", "Forward", "Join", "Stale", "Step"]

LEFT: Reason = "join-timeout"
"""The reason code of a fetch whose caller has left the flight that it waited for."""

SHORT = 64 << 10
"""Bytes of a body that are read only to use its connection again."""


class Body(Enum):
    """How the body of an answer is treated."""

    HAND_ON = "hand on"
    READ = "read"
    """It is there: the response came read already."""
    STREAM = "stream"
    """The body is still to come: it is stored when the caller has read it."""
    RENEW = "renew"
    """A 304 to our own validators: no body, and what is stored is fresh again."""
    REPLACE = "replace"
    """A failure of the server in whose place a stale answer is served."""


class Step:
    """Anything but an answer."""

    __slots__ = ()


class Join(Step):
    """Wait until `flight` lands, or until `deadline` (of `time.monotonic`), then ask `engine.rejoin`.

    - `lookup`: of a waiting lookup, which asks `engine.rejoin_lookup`: whether it may still be answered. Else None.
    - `has_left`: whether this caller has left another flight that took too long.
    """

    __slots__ = ("deadline", "flight", "has_left", "key", "lookup", "prepared", "request")

    def __init__(
        self,
        request: HttpRequest,
        prepared: Prepared,
        key: str,
        flight: Flight[StoredResponse],
        deadline: float,
        lookup: Callable[[], bool] | None = None,
    ) -> None:
        self.request: HttpRequest = request
        self.prepared: Prepared = prepared
        self.key: str = key
        self.flight: Flight[StoredResponse] = flight
        self.deadline: float = deadline
        self.lookup: Callable[[], bool] | None = lookup
        self.has_left: bool = False


class Fetch(Step):
    """Send `to_send`; its answer may be stored and shared.

    - `stale`: what is stored under the key and may be validated, or stand in if the server fails.
    - `validating`: `to_send` carries the validators of `stale`, so a 304 is an answer to us.
    - `background`: nobody waits for it; it is not a request of a caller and does not count as one.
    """

    __slots__ = (
        "background",
        "claim",
        "dated",
        "encoded",
        "flight",
        "length",
        "lifetime",
        "patience",
        "prepared",
        "reason",
        "refusal",
        "request",
        "sent",
        "spares",
        "stale",
        "stored",
        "supersedes",
        "to_send",
        "took",
        "validating",
        "vary",
        "was_sought",
    )

    def __init__(
        self,
        request: HttpRequest,
        prepared: Prepared,
        flight: Flight[StoredResponse],
        reason: Reason,
        *,
        background: bool = False,
    ) -> None:
        self.request: HttpRequest = request
        self.prepared: Prepared = prepared
        self.flight: Flight[StoredResponse] = flight
        self.reason: Reason = reason
        self.stale: StoredResponse | None = None
        self.background: bool = background
        self.to_send: Any = request
        self.validating: bool = False
        self.length: int | None = None
        """Of the answer's body, as announced."""
        self.dated: float | None = None
        """What the age of the answer counts from, on the transport's clock; None: when its request was sent."""
        self.lifetime: float | None = None
        """Seconds the answer says it is fresh; None where the rule says that."""
        self.encoded: bool = False
        """Whether the answer's body has a content encoding."""
        self.vary: tuple[str, ...] = ()
        self.sent: float = time.perf_counter()
        self.took: float = 0.0
        """Seconds until the head of the answer was there, then until its body was."""
        self.supersedes: bool = False
        """Whether its answer takes the place of what is stored even if it is not stored itself."""
        self.stored: StoredResponse | None = None
        """What the answer became in memory; an outer storage gets it too."""
        self.claim: str | None = None
        """The right to fetch this for all processes that share the storage."""
        self.was_sought: bool = False
        """Whether the outer storage has just been asked."""
        self.patience: float = 0.0
        """Seconds to wait while another process fetches it."""
        self.spares: Callable[[StoredResponse, float], bool] | None = None
        """What `is_spared_by` says, once it may be looked for in an outer storage."""
        self.refusal: Verdict | None = None
        """The verdict on a request that is never sent, whatever an outer storage holds: see `Refusals`."""

    # As an outer storage knows it: see `storage.outer.OuterFetch`.

    @property
    def key(self) -> str:
        """Names the responses of all variants."""
        return self.prepared.key

    @property
    def is_shared(self) -> bool:
        """Whether others may wait for this fetch."""
        return self.flight.shared

    @property
    def is_uncacheable(self) -> bool:
        """Whether its response turned out to be its caller's alone."""
        return self.flight.landing is Landing.UNCACHEABLE

    @property
    def is_in_vain(self) -> bool:
        """Whether the answer is of no use, and to read its rest would cost more than a new connection."""
        return self.is_uncacheable and (self.length is None or self.length > SHORT)

    def is_spared_by(self, entry: StoredResponse, now: float) -> bool:
        """Whether `entry` of an outer storage answers this fetch's request without the server."""
        return self.spares is not None and self.spares(entry, now)

    def uses(self, revalidate_for: float) -> Callable[[], Uses]:
        """Works out, later perhaps, for how long `stored` may be of use once its TTL is over."""
        decision, entry = self.prepared.decision, self.stored
        if decision is None or entry is None:
            return Uses
        return partial(uses_of, entry, decision, revalidate_for, states=self.lifetime is not None)


class Stale(Step):
    """Answer with `response` at once, and let what `engine.refresh` makes of this run in the background.

    - `entry`: what is stored under `key`. Nobody else will refresh it before `engine.refresh` or `engine.unrefreshed`.
    - `parts`: `request` as it was then, if it is a caller's, who may change it and send it again.
    - `flight`: of the refresh, once it has begun.
    """

    __slots__ = ("entry", "flight", "key", "parts", "prepared", "request", "response")

    def __init__(
        self,
        response: HttpResponse,
        request: HttpRequest,
        parts: Parts | None,
        prepared: Prepared,
        key: str,
        entry: StoredResponse,
    ) -> None:
        self.response: HttpResponse = response
        self.request: HttpRequest = request
        self.parts: Parts | None = parts
        self.prepared: Prepared = prepared
        self.key: str = key
        self.entry: StoredResponse = entry
        self.flight: Flight[StoredResponse] | None = None


class Forward(Step):
    """Send the request; its answer is the caller's alone.

    - `epoch`, `began`: of the coherence and on the transport's clock, when it was sent.
    - `intent`: names a write that was announced.
    - `dirtied`: the epoch that it published, once it has dirtied something.
    """

    __slots__ = ("began", "dirtied", "epoch", "intent", "outcome", "prepared", "request")

    def __init__(
        self, request: HttpRequest, prepared: Prepared, outcome: CacheOutcome, epoch: int, began: float
    ) -> None:
        self.request: HttpRequest = request
        self.prepared: Prepared = prepared
        self.outcome: CacheOutcome = outcome
        self.epoch: int = epoch
        self.began: float = began
        self.dirtied: int | None = None
        self.intent: str | None = None
