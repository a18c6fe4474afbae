"""RFC mode: whether a stored answer may be used for a request, fresh, stale or in part (RFC 9111 §4)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from math import nan
from typing import TYPE_CHECKING

from ..protocol.cache_control import parse_cache_control
from ..protocol.conditional import Precondition, conditional_fields, evaluate
from ..protocol.fields import OWS, fields, lowered
from ..protocol.freshness import NO_WISHES, Freshness, Use, Wishes, freshness, may_use, may_use_on_error
from ..protocol.ranges import ByteRange, requested_range
from ..protocol.vary import preferred_language, selecting_value
from ..support.clock import calendar
from ..support.memo import Memo
from ..telemetry.outcome import CacheOutcome, Reason, Status
from .cache_key import variant_key
from .core import in_time
from .http_library import field_lines
from .rfc_classify import RfcPreparer
from .rfc_responses import RfcAnswers
from .staleness import Staleness, within_wish

if TYPE_CHECKING:
    from ..coherence.single_flight import Owner
    from ..policy.controller import Controller
    from ..storage.entry import StoredResponse
    from ..storage.memory import MemoryStorage
    from ..support.clock import Clock
    from ..support.http_types import HttpRequest, HttpResponse
    from .classify import Prepared
    from .http_library import Library
    from .judging import Form, View
    from .steps import Fetch

__all__ = ["RfcStaleness"]

MAX_LANGUAGES = 1024
LANGUAGE = 350
"""Bytes counted for the language of an answer, on top of its name."""
FAILURES = frozenset({500, 502, 503, 504})
"""The statuses in whose place a stale answer may be served (RFC 5861 §4)."""
_SERVED_STALE: dict[Use, Reason] = {Use.STALE: "max-stale", Use.REFRESH_BEHIND: "while-revalidate"}
_SPEAKING = frozenset({b"cache-control"})


class RfcStaleness(Staleness):
    """The questions about a stored answer, answered by what it says and what the request asks.

    What is kept of an answer is its lifetime (0 where it says no-cache, for then no age is fresh) and its age; the rest
    is read from its stored header fields when it is asked for, which no plain hit does. `_languages` is a hint.
    """

    preparer_class = RfcPreparer
    answers: RfcAnswers
    answers_class = RfcAnswers

    def __init__(
        self,
        library: Library,
        controller: Controller,
        storage: MemoryStorage,
        clock: Clock,
        owner: Callable[[], Owner],
    ) -> None:
        super().__init__(library, controller, storage, clock, owner)
        self.wall: Clock = calendar(clock)
        self._languages = Memo(lambda key, _: LANGUAGE + len(key[1]))

    @property
    def remembered_bytes(self) -> int:
        """Bytes counted for what is remembered beside what is stored. Called under the storage's lock."""
        return super().remembered_bytes + self._languages.size_bytes

    def said(self, entry: StoredResponse) -> tuple[Freshness, Collection[str]]:
        """What a stored answer says of its own use, and the directives it names."""
        headers = fields(entry.headers, _SPEAKING)
        # The lifetime was worked out when the answer came in; only then its dates could be read.
        stated = replace(freshness(entry.status, headers, 0.0), lifetime=entry.ttl)
        return stated, parse_cache_control(headers.get("cache-control", ()))

    # ── fresh ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def why_not_fresh(self, entry: StoredResponse, prepared: Prepared, age: float, epoch: int) -> Reason | None:
        """The reason code of a stored answer that may not answer as fresh; None: it may, as the request wishes, too.

        A request with wishes counts as directed, so that the short cuts of a hit leave it to this.
        """
        reason = super().why_not_fresh(entry, prepared, age, epoch)
        if reason is None:
            return None if self._pleases(entry, prepared, age) else "refresh"
        return "no-cache" if reason == "expired" and self.said(entry)[0].validate else reason

    def _pleases(self, entry: StoredResponse, prepared: Prepared, age: float) -> bool:
        wish = prepared.wishes
        return wish is None or may_use(age, self.said(entry)[0], wish) is Use.FRESH

    def may_look_up(self, entry: StoredResponse, prepared: Prepared, age: float) -> bool:
        """Whether `entry` may answer a lookup, which leaves the client's cookie jar alone."""
        return all(name != b"set-cookie" for _, name, _ in entry.headers) and self.found_fresh(entry, prepared, age)

    def may_share(self, entry: StoredResponse, prepared: Prepared, age: float) -> bool:
        """Whether the answer of another's fetch that was joined in flight may answer."""
        return in_time(entry, prepared, age) and self._pleases(entry, prepared, age)

    def stated_ttl(self, prepared: Prepared) -> float | None:
        """Only the answer will say."""
        return prepared.ttl if prepared.own_ttl else None

    # ── stale ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def is_worth_keeping(self, entry: StoredResponse, prepared: Prepared, age: float) -> bool:
        """Whether an expired answer can still be of use; with max-stale any can."""
        return not age < 0.0

    def _is_sound(self, entry: StoredResponse, prepared: Prepared, view: View) -> bool:
        """Whether nothing but its age speaks against `entry`."""
        return (
            not view.now < entry.began
            and not prepared.refresh
            and view.held is None
            and not self.storage.coherence.is_dirtied(entry, prepared.tags)
        )

    def may_serve_stale(self, entry: StoredResponse, prepared: Prepared, view: View, window: float) -> bool:
        """Whether a stored answer may stand in for the server: `window` seconds past its lifetime, or what it says."""
        said, named = self.said(entry)
        wish = prepared.wishes or NO_WISHES
        if "stale-if-error" in named:
            window = said.stale_if_error
        return self._may_stand_in(entry, prepared, view, said, wish, window)

    def _may_stand_in(
        self, entry: StoredResponse, prepared: Prepared, view: View, said: Freshness, wish: Wishes, window: float
    ) -> bool:
        allowed = max(window, wish.stale_if_error)
        return (
            allowed > 0
            and may_use_on_error(_past(entry, view), said, wish, window)
            and within_wish(prepared, view.now - entry.began, allowed)
            and self._is_sound(entry, prepared, view)
        )

    def may_serve_on_error(self, entry: StoredResponse, prepared: Prepared, view: View) -> bool:
        """Whether a stored answer may stand in for a failure of the server (RFC 9111 §4.2.4, RFC 5861 §4).

        The caller's own window takes the place of what the answer and the request's header fields say of it.
        """
        assert prepared.decision is not None
        if prepared.if_error is not None:
            said = replace(self.said(entry)[0], stale_if_error=prepared.if_error)
            wish = replace(prepared.wishes or NO_WISHES, stale_if_error=0.0)
            return self._may_stand_in(entry, prepared, view, said, wish, prepared.if_error)
        return self.may_serve_stale(entry, prepared, view, prepared.decision.stale_if_error)

    def fails_over(self, fetch: Fetch, status: int) -> bool:
        """Whether a stale answer is served in place of one with this status (RFC 5861 §4)."""
        return status in FAILURES and super().fails_over(fetch, status)

    def why_stale_now(self, entry: StoredResponse, prepared: Prepared, view: View) -> Reason | None:
        """The reason to serve a stored answer stale without asking the server first, or None."""
        decision, offline = prepared.decision, self.controller.offline
        assert decision is not None
        if not self._is_sound(entry, prepared, view):
            return None
        is_offline = offline == "only" or (offline == "auto" and self.is_down(prepared.origin, view.now))
        if is_offline and self.may_serve_stale(entry, prepared, view, decision.offline_for):
            return "offline"
        if entry.began != entry.began:  # NaN: of no known age
            return None
        said, named = self.said(entry)
        is_callers = prepared.while_revalidate is not None
        if (is_callers or "stale-while-revalidate" not in named) and not said.must_revalidate:
            said = replace(said, stale_while_revalidate=decision.stale_while_revalidate)
        if self.is_superseded(entry):
            said = replace(said, stale_while_revalidate=0.0)
        if not within_wish(prepared, view.now - entry.began, said.stale_while_revalidate):
            return None
        use = may_use(_past(entry, view), said, prepared.wishes or NO_WISHES)
        return _SERVED_STALE.get(use)

    def validators(self, entry: StoredResponse, request: HttpRequest | None) -> list[tuple[str, str]]:
        """The fields that ask whether `entry` is still what the server has (RFC 9111 §4.3.1); the caller's with them.

        None with a Range: an answer to it may be a part, which says nothing of the whole.
        """
        asked = None if request is None else fields(field_lines(request.headers))
        if asked is not None and "range" in asked:
            return []
        return conditional_fields(fields(entry.headers), asked)

    def unavailable(self, fetch: Fetch, error: BaseException | None) -> HttpResponse | None:
        """A 504 where what is stored must not be used without the server (RFC 9111 §5.2.2.2, §5.2.2.4), else None."""
        if fetch.background or fetch.stale is None or not isinstance(error, self.library.unreachable):
            return None
        said = self.said(fetch.stale)[0]
        if not (said.must_revalidate or said.validate):
            return None
        prepared = fetch.prepared
        outcome = CacheOutcome("miss", "must-revalidate", 0.0, None, fetch.flight.key, False, prepared.rule)
        return self.answers.gateway_timeout(outcome)

    # ── which, and how much of it ─────────────────────────────────────────────────────────────────────────────────

    def variant_by(self, request: HttpRequest, key: str, names: tuple[str, ...]) -> str:
        """The key of the variant that `request` selects; what means the same selects the same (RFC 9111 §4.1)."""
        headers = fields(request.headers._list, frozenset(name.encode("latin-1") for name in names))
        values = [selecting_value(name, headers.get(name)) for name in names]
        return variant_key(
            self.storage.secret, key, [None if value is None else value.encode("latin-1") for value in values]
        )

    def variant(self, request: HttpRequest, key: str) -> str:
        """The key of the variant that the headers of `request` select, where answers of `key` are known to vary.

        Where only the language selects, a stored answer in the one that the request likes best will do, whatever was
        asked for when it was fetched.
        """
        names = self.storage.varying.get(key)
        if names is None:
            return key
        exact = self.variant_by(request, key, names)
        if names == ("accept-language",) and self.storage.find(exact) is None:
            language = preferred_language(fields(request.headers._list))
            other: str | None = None if language is None else self._languages.get((key, language))
            if other is not None and self.storage.find(other) is not None:
                return other
        return exact

    def remember_language(self, key: str, entry: StoredResponse) -> None:
        """Remember the language of an answer that only varies by it; `key` is that of all variants."""
        languages = fields(entry.headers).get("content-language", [])
        if entry.vary == ("accept-language",) and len(languages) == 1:
            language = lowered(languages[0].strip(OWS))
            self._languages.remember((key, language), entry.key, MAX_LANGUAGES, self.storage)

    def answer(
        self,
        request: HttpRequest,
        prepared: Prepared,
        entry: StoredResponse,
        status: Status,
        reason: Reason,
        age: float | None,
        *,
        form: Form | None = None,
        stored: bool = True,
    ) -> HttpResponse:
        """The Response of a stored answer to this request: a 304, a part, or the whole."""
        if form is None:
            form = self.form(request, prepared, entry, nan if age is None else age)
        if isinstance(form, ByteRange):
            return self.answers.partial(entry, form, age, status, reason)
        return super().answer(request, prepared, entry, status, reason, age, form=form, stored=stored)

    def form(self, request: HttpRequest, prepared: Prepared, entry: StoredResponse, age: float) -> Form:
        """How much of a stored answer answers a read: a 304, a part, or the whole."""
        if prepared.kind == "part":
            asked, headers = fields(field_lines(request.headers)), fields(entry.headers)
            if evaluate(asked, headers, entry.status, self.wall() - age) is Precondition.NOT_MODIFIED:
                return "not-modified"
            # A part of an encoded body cannot be decoded, so the whole is the answer then, as RFC 9110 §14.2 allows.
            if "range" in asked and entry.status == 200 and entry.content is entry.raw and request.method == "GET":
                return requested_range(asked, headers, len(entry.raw)) or "whole"
        return "whole"


def _past(entry: StoredResponse, view: View) -> float:
    """The age of what is past its lifetime. What a soft purge made stale has none left, whatever its age.

    Nor has what is of no known age, and nothing says how long it has had none.
    """
    age = view.now - entry.began
    return age if age > entry.ttl else entry.ttl
