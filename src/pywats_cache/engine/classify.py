"""What the engine needs to know of a request, worked out once for all requests that look alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from sys import intern
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import unquote_plus

from ..coherence.tags import explicit_tag, partition_tag, path_tags, shared_tag, subtree_tags, write_tags
from ..errors import ConfigurationTypeError
from ..policy.controller import Controller, Decision, Read
from ..policy.directives import Directives
from ..protocol.cache_control import parse_cache_control, seconds_of
from ..protocol.targets import addressed, asked_origin
from ..storage.entry import HeaderItems
from ..support.memo import Alone, Bounds, Memo
from .asked import DECISIVE, OVERRIDES, Asked, Fields, wants_new, why_not
from .cache_key import entry_key, is_credential, partition_digest, representation_digest, sorted_query
from .http_library import field_lines, parsed, parsed_alike
from .sizes import asked_size, name_size, prepared_size

if TYPE_CHECKING:
    from ..protocol.freshness import Wishes
    from ..support.http_types import HttpRequest
    from ..telemetry.outcome import Reason

__all__ = ["Prepared", "Preparer"]

MAX_MEMO = 4096
MAX_NAMES = 1024


class Prepared(NamedTuple):
    """One request, or all that look alike, as the engine sees it.

    - `kind`: `read`, `part` (RFC mode: a read that may be answered by less than the whole, being conditional or of a
      range), `write` or `bypass`; `reason`: the code of a bypass or write, or of a refresh.
    - `key`: names the answer of a read; `tags`: what it carries, or what a write dirties.
    - `head`: answered from the stored GET; `refresh`: a new answer is wanted; `max_age`: seconds at most.
    - `own_ttl`: the caller set the TTL for this one request, so the rule's TTL does not bound what it stores.
    - `directed`: the caller gave directives, so its tags may differ from those of the stored answer.
    - `while_revalidate`, `if_error`: the windows of staleness that the caller gave; they are in `decision` too.
    - `lenient`: they count from the end of `max_age`, which is the TTL that the caller gave with them.
    - `wishes`: what its Cache-Control asks of a stored answer, in RFC mode; None: nothing.
    - `representation`: the digest of what it wants by its rule's `vary`, which is a part of the key; "": any form.
    - `partial`: it is conditional or of a range, in RFC mode; so it is a `part`, if it is read at all.
    - `body_fields`: the header values that say what a body means; see `Preparer.with_body`.
    """

    kind: Literal["read", "part", "write", "bypass"]
    reason: Reason
    rule: str
    key: str = ""
    ttl: float = 0.0
    tags: tuple[str, ...] = ()
    path: str = ""
    origin: str = ""
    partition: str = ""
    decision: Decision | None = None
    head: bool = False
    refresh: bool = False
    only_if_cached: bool = False
    max_age: float | None = None
    own_ttl: bool = False
    directed: bool = False
    body_fields: tuple[bytes, ...] | None = None
    wishes: Wishes | None = None
    partial: bool = False
    representation: str = ""
    while_revalidate: float | None = None
    if_error: float | None = None
    lenient: bool = False

    @property
    def is_question(self) -> bool:
        """Whether it is a conditional request of the caller, sent on unless what is stored answers it."""
        return self.kind == "bypass" and self.reason == "conditional"


class Preparer:
    """Turns requests into `Prepared`, with a bounded memo.

    The memo's keys are what the answer depends on: method, URL and the decisive header fields, credentials among
    them; it lives in memory only, beside the client that holds the same credentials. It is read without a lock, and
    bounded by what the storage may hold (`bounds`).

    - `off`: the cache is off, so nothing is a read.
    """

    __slots__ = (
        "_alike",
        "_bounds",
        "_controller",
        "_memo",
        "_names",
        "_off",
        "_partition_by",
        "_partition_names",
        "_secret",
        "_varieties",
        "_varying_names",
    )

    def __init__(
        self, controller: Controller, secret: bytes, bounds: Bounds | None = None, *, off: bool = False
    ) -> None:
        self._off = off
        self._controller = controller
        self._secret = secret
        self._bounds: Bounds = Alone() if bounds is None else bounds
        self._memo = Memo(prepared_size)
        self._names = Memo(name_size)
        self._alike = Memo(asked_size)
        by: Callable[[Mapping[str, str]], str] | None
        self._partition_names: frozenset[bytes]
        if callable(controller.partition):
            by, self._partition_names = controller.partition, frozenset()
        else:
            by, self._partition_names = None, frozenset(name.encode() for name in controller.partition)
        self._partition_by = by
        rules = [] if controller.rfc9111 else [Read("/**"), *controller.rules]
        self._varieties = tuple(dict.fromkeys(rule.vary for rule in rules if isinstance(rule, Read)))
        self._varying_names = frozenset(name.encode("ascii") for names in self._varieties for name in names)

    @property
    def partition_is_computed(self) -> bool:
        """Whether a function of the user's names the partition; then nothing may be remembered of it."""
        return self._partition_by is not None

    @property
    def remembered_bytes(self) -> int:
        """Bytes counted for what is remembered."""
        return self._memo.size_bytes + self._names.size_bytes + self._alike.size_bytes

    def prepare(self, request: HttpRequest) -> Prepared:
        """Prepare `request` (of httpx or httpx2), apart from its directives and body."""
        names = self._names
        items = request.headers._list
        try:
            fields = tuple([item for item in items if names[item[1]]])
        except KeyError:
            fields = tuple([item for item in items if self._is_decisive(item[1])])
        if self._partition_by is not None:
            return self._work_out(request, self._asked(fields)[1], self._computed(request))
        memo_key = (request.method, request.url._uri_reference, fields)
        prepared: Prepared | None = self._memo.get(memo_key)
        return self._remember(request, memo_key) if prepared is None else prepared

    def look(self, request: HttpRequest) -> Prepared:
        """`prepare` that remembers nothing."""
        fields = tuple([item for item in field_lines(request.headers) if self._decides(item[1])])
        asked = self._read_fields(tuple((lower, value) for _, lower, value in fields))
        return self._work_out(request, asked, None if self._partition_by is None else self._computed(request))

    def _computed(self, request: HttpRequest) -> str:
        assert self._partition_by is not None
        headers: dict[str, str] = {}
        for _, lower, value in field_lines(request.headers):
            # As latin-1, whatever they are in: two values that differ must not look alike to the function.
            name, text = lower.decode("latin-1"), value.decode("latin-1")
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
        partition = self._partition_by(headers)
        if not isinstance(partition, str):
            raise ConfigurationTypeError(f"partition must return a string, not {type(partition).__name__}")
        return partition

    def _remember(self, request: HttpRequest, memo_key: tuple[str, Any, HeaderItems]) -> Prepared:
        method, url, fields = memo_key
        # Most requests of a client share header fields, scheme and host: keep one object of each, not one for each key.
        fields, asked = self._asked(fields)
        prepared = self._work_out(request, asked, None)
        scheme, userinfo, host, *rest = url
        url = url._make((intern(scheme), userinfo, intern(host), *rest))
        self._memo.remember((method, url, fields), prepared, MAX_MEMO, self._bounds)
        return prepared

    def _decides(self, lower: bytes) -> bool:
        return (
            lower in DECISIVE
            or lower in self._partition_names
            or lower in self._varying_names
            or is_credential(lower.decode("latin-1"))
        )

    def _is_decisive(self, lower: bytes) -> bool:
        decisive = self._decides(lower)
        self._names.remember(lower, decisive, MAX_NAMES, self._bounds)
        return decisive

    def _asked(self, items: HeaderItems) -> tuple[HeaderItems, Asked]:
        """What the decisive fields say; worked out once for all requests that have them in common."""
        known: tuple[HeaderItems, Asked] | None = self._alike.get(items)
        if known is None:
            known = (items, self._read_fields(tuple((lower, value) for _, lower, value in items)))
            self._alike.remember(items, known, MAX_NAMES, self._bounds)
        return known

    def _read_fields(self, fields: Fields) -> Asked:
        first: dict[bytes, bytes] = {}
        for name, value in fields:
            first.setdefault(name, value)
        controls = parse_cache_control(v.decode("latin-1") for n, v in fields if n == b"cache-control")
        max_age = seconds_of(controls, "max-age")
        return Asked(
            separating=tuple(
                f for f in fields if f[0] in self._partition_names or is_credential(f[0].decode("latin-1"))
            ),
            partition=self._partition(fields, "", None),
            host=b", ".join([v for n, v in fields if n == b"host"]) if b"host" in first else None,
            overridden=any(name in first for name in OVERRIDES),
            only_if_cached="only-if-cached" in controls,
            refresh=wants_new(controls, first) or max_age == 0,
            max_age=max_age,
            reason=why_not(first, controls),
            body_fields=(first.get(b"content-type", b""), first.get(b"content-encoding", b"")),
            representations=self._represented(fields),
        )

    def _represented(self, sent: Fields) -> dict[tuple[str, ...], str]:
        """What these fields want, by the names that any rule varies by; without those that want any form."""
        lines: dict[str, list[str]] = {}
        for name, value in sent:
            if name in self._varying_names:
                lines.setdefault(name.decode("ascii"), []).append(value.decode("latin-1"))
        found = {names: representation_digest(self._secret, names, lines) for names in self._varieties}
        return {names: digest for names, digest in found.items() if digest}

    def _work_out(self, request: HttpRequest, asked: Asked, computed: str | None) -> Prepared:
        url = parsed(request.url)
        method = request.method
        origin = asked_origin(url.scheme, url.host, url.port, asked.host)
        path = url.path or "/"
        decision = self._controller.decide(method, path)
        if asked.overridden:
            decision = _overridden(decision)
        partition = asked.partition
        if url.userinfo or computed is not None:
            partition = self._partition(asked.separating, url.userinfo, computed)
        known: dict[str, Any] = {"path": path, "origin": origin, "partition": partition, "decision": decision}
        if decision.kind == "write":
            tags = (*write_tags(origin, path), *(explicit_tag(origin, tag) for tag in decision.tags))
            return Prepared("write", "write", decision.rule, tags=tags, **known)
        if decision.kind == "bypass":
            unmatched = decision.rule == "unmatched" and method not in ("GET", "HEAD")
            why: Reason = "method" if unmatched else "rule-bypass"
            only_if_cached = asked.only_if_cached and not self._off
            return Prepared("bypass", why, decision.rule, only_if_cached=only_if_cached, **known)
        if self._off:
            return Prepared("bypass", "disabled", decision.rule, **known)
        reason = _why_not_route(decision, url.query)
        if asked.reason and reason != "query-bypass":  # a rule that bypasses is bent by no header and no directive
            reason = asked.reason
        representation = asked.representations.get(decision.vary, "")
        tags = path_tags(origin, path)
        if decision.tags:
            tags += tuple(shared_tag(explicit_tag(origin, tag)) for tag in decision.tags)
        if 401 in self._controller.drop_on:
            tags += (shared_tag(partition_tag(partition)),)
        return Prepared(
            "read" if reason is None else "bypass",
            reason or ("refresh" if asked.refresh else "unknown"),
            decision.rule,
            self._key_of(request, origin, path, partition, representation),
            decision.ttl,
            tags,
            path,
            origin,
            partition,
            decision,
            method == "HEAD",
            asked.refresh,
            asked.only_if_cached,
            asked.max_age,
            body_fields=asked.body_fields,
            representation=representation,
        )

    def _key_of(self, request: HttpRequest, origin: str, path: str, partition: str, representation: str) -> str:
        method, query = request.method, parsed(request.url).query
        return self._key(
            "GET" if method == "HEAD" else method,
            origin,
            f"{path}?" if query == "" else path,  # an empty query makes another URL than none (RFC 3986 §6.2.3)
            query or "",
            partition,
            representation,
        )

    def represented(self, request: HttpRequest, prepared: Prepared, representation: str) -> Prepared:
        """`prepared` as it would be if `request` asked for another representation; without its body and directives."""
        key = self._key_of(request, prepared.origin, prepared.path, prepared.partition, representation)
        return prepared._replace(key=key, representation=representation)

    def targeted(self, request: HttpRequest, prepared: Prepared) -> Prepared:
        """`prepared` for a request that asks the server for another target than its URL: a write or a bypass.

        A write dirties what it addresses by its target, and by its URL too, for not every transport sends the target.
        """
        method, origin, path = request.method, prepared.origin, prepared.path
        target = addressed(request.extensions["target"], partial(parsed_alike, request.url))
        if target is None:  # it may be anything at this origin
            decision, tags = self._controller.decide_anywhere(method), subtree_tags(origin, "/")
        else:
            path = target.path
            decision = self._controller.decide(method, path)
            origins = dict.fromkeys((origin, target.origin or origin))
            tags = tuple(tag for at in origins for tag in write_tags(at, path))
            tags += tuple(explicit_tag(at, tag) for at in origins for tag in decision.tags)
        if any(lower in OVERRIDES for _, lower, _ in field_lines(request.headers)):
            decision = _overridden(decision)
        known = prepared._replace(path=path, only_if_cached=prepared.only_if_cached and decision.kind != "write")
        if prepared.kind == "write":
            assert prepared.decision is not None
            if decision.kind != "write":
                decision, tags = prepared.decision, ()
            settles = [of.settle for of in (decision, prepared.decision) if of.settle is not None]
            decision = decision._replace(settle=max(settles, default=None))
            tags = tuple(dict.fromkeys((*tags, *prepared.tags)))
        elif decision.kind != "write":
            return self.bypassed(known, "target")
        return known._replace(kind="write", reason="write", rule=decision.rule, tags=tags, decision=decision)

    def _key(self, method: str, origin: str, path: str, query: str, partition: str, representation: str) -> str:
        return entry_key(self._secret, method, origin, path, sorted_query(query), partition, representation)

    def _partition(self, fields: Fields, userinfo: str, computed: str | None) -> str:
        if computed is not None:
            return partition_digest(self._secret, [(b"computed", computed.encode("utf-8", "surrogatepass"))])
        selected = [f for f in fields if f[0] in self._partition_names or is_credential(f[0].decode("latin-1"))]
        if userinfo:
            selected.append((b":userinfo", userinfo.encode()))
        return partition_digest(self._secret, selected) if selected else ""

    @staticmethod
    def bypassed(prepared: Prepared, reason: Reason) -> Prepared:
        """`prepared` for a request that goes around the cache."""
        return prepared._replace(kind="bypass", reason=reason)

    def with_body(self, prepared: Prepared, body: bytes) -> Prepared:
        """`prepared` for a request with this body: the key then names the body and its type too."""
        return prepared._replace(key=entry_key(self._secret, "body", prepared.key, body, *(prepared.body_fields or ())))

    def directed(self, prepared: Prepared, directives: Directives) -> Prepared:
        """`prepared` as the caller's directives for this one request change it; they beat what its headers say.

        Only a `no-store` among those stands: it forbids to store what no directive may store then.
        """
        tags = tuple(explicit_tag(prepared.origin, tag) for tag in directives.tags)
        if prepared.kind == "write":
            return prepared._replace(tags=(*prepared.tags, *tags))
        if self._off:
            return prepared
        if directives.bypass:
            return self.bypassed(prepared, "caller-bypass")._replace(only_if_cached=False)
        if directives.only_if_cached:
            prepared = prepared._replace(only_if_cached=True)
        elif directives.refresh:
            prepared = prepared._replace(only_if_cached=False)
        if prepared.reason == "zero-ttl" and directives.ttl:
            prepared = prepared._replace(kind="part" if prepared.partial else "read", reason="unknown")
        if prepared.kind == "bypass" and not prepared.is_question:
            return prepared
        changed: dict[str, Any] = {"tags": (*prepared.tags, *tags), "directed": True}
        if directives.refresh:
            changed["refresh"] = True
            if prepared.kind != "bypass":
                changed["reason"] = "refresh"
        if directives.ttl is not None:
            bounds = [bound for bound in (prepared.max_age, directives.ttl) if bound is not None]
            changed.update(ttl=directives.ttl, own_ttl=True, max_age=min(bounds))
        changed.update(_windows(prepared, directives))
        if directives.key is not None:
            named = (prepared.origin, directives.key, prepared.partition, prepared.representation)
            changed["key"] = entry_key(self._secret, "custom", *named)
        return prepared._replace(**changed)


def _overridden(decision: Decision) -> Decision:
    """`decision` for a request whose header fields name another method."""
    may_write = decision.kind == "read" or decision.rule == "unmatched"
    return Decision("write", decision.rule) if may_write else decision


def _why_not_route(decision: Decision, query: str | None) -> Reason | None:
    """Why a read of this route goes around the cache, or None."""
    if decision.bypass_query and query:
        names = {unquote_plus(p.partition("=")[0]).casefold() for p in query.split("&")}
        if not names.isdisjoint(decision.bypass_query):
            return "query-bypass"
    return "zero-ttl" if decision.ttl == 0 else None


def _windows(prepared: Prepared, directives: Directives) -> dict[str, Any]:
    """What the windows of staleness that the caller gave change of `prepared`.

    His own TTL allows nothing stale, so where he gives one, only the windows that he gives with it count, from its end.
    """
    window, on_error, decision = directives.stale_while_revalidate, directives.stale_if_error, prepared.decision
    if decision is None or (window is None and on_error is None):
        return {}
    lenient = directives.ttl is not None and prepared.max_age is None
    if lenient:
        window, on_error, decision = window or 0.0, on_error or 0.0, decision._replace(offline_for=0.0)
    if window is not None:
        decision = decision._replace(stale_while_revalidate=window)
    if on_error is not None:
        decision = decision._replace(stale_if_error=on_error)
    return {"decision": decision, "while_revalidate": window, "if_error": on_error, "lenient": lenient}
