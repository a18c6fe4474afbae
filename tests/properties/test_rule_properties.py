"""Which rule decides, against a matcher that compares one pattern after the other."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import event, given, settings
from hypothesis import strategies as st

from pywats_cache import Bypass, Controller, Read, Write

SEGMENTS = st.sampled_from(["a", "A", "b", "%C3%9F", "%c3%9f", "{x}", "{other}", "*"])
PATTERNS = st.builds(
    lambda segments, rest: "/" + "/".join([*segments, *(["**"] if rest else [])]),
    st.lists(SEGMENTS, max_size=3),
    st.booleans(),
)
PATHS = st.lists(st.sampled_from(["a", "A", "b", "c", "%C3%9f", "%c3%9f", ""]), max_size=4).map(
    lambda s: "/" + "/".join(s)
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
TAGS = st.lists(st.sampled_from(["t", "u", "v"]), max_size=2, unique=True).map(tuple)


def rule(kind: str, pattern: str, methods: tuple[str, ...], tags: tuple[str, ...], settle: float | None) -> Any:
    if kind == "read":
        return Read(pattern, ttl=settle, tags=tags, methods=methods)
    if kind == "write":
        return Write(pattern, methods=methods, dirties=tags, settle=settle)
    return Bypass(pattern, methods=methods)


RULES = st.lists(
    st.builds(
        rule,
        st.sampled_from(["read", "write", "bypass"]),
        PATTERNS,
        st.lists(st.sampled_from(["GET", "POST", "DELETE"]), min_size=1, max_size=2, unique=True).map(tuple),
        TAGS,
        st.one_of(st.none(), st.sampled_from([1.0, 2.0])),
    ),
    max_size=8,
)


def parts(pattern: str, ignore_case: bool) -> tuple[tuple[str, ...], bool]:
    segments = [("*" if s[0] == "{" else s) if s else s for s in pattern.split("/")[1:]]
    rest = segments[-1:] == ["**"]
    whole = segments[:-1] if rest else segments
    return tuple(s.casefold() if ignore_case else s for s in whole), rest


def rank(pattern: str, path: str, ignore_case: bool) -> tuple[Any, ...] | None:
    """How specific `pattern` is for `path` (the smallest first), or None if it does not match."""
    segments, rest = parts(pattern, ignore_case)
    given = (path.casefold() if ignore_case else path).split("/")[1:]
    if len(given) < len(segments) or (len(given) > len(segments) and not rest):
        return None
    kinds = []
    for wanted, there in zip(segments, given, strict=False):
        if wanted != "*" and wanted != there:
            return None
        if wanted == "*" and not there:
            return None
        kinds.append(wanted == "*")
    return (rest, -len(segments) if rest else 0, kinds)


def without_conflicts(rules: list[Any], ignore_case: bool) -> list[Any]:
    kept, taken = [], set()
    for candidate in rules:
        names = {(parts(candidate.pattern, ignore_case), method) for method in candidate.methods}
        if not names & taken:
            taken |= names
            kept.append(candidate)
    return kept


class Naive(NamedTuple):
    """What the rules say of one spelling of a path."""

    kind: str
    rule: str
    tags: set[str]
    settle: float | None = None
    ttl: float | None = None


def naive(rules: list[Any], path: str, method: str, ignore_case: bool, unmatched: str) -> Naive:
    asked = "GET" if method == "HEAD" else method
    matches = sorted(
        ((r, rule) for rule in rules if asked in rule.methods and (r := rank(rule.pattern, path, ignore_case))),
        key=lambda match: match[0],
    )
    if not matches:
        event("no rule")
        if method in ("POST", "DELETE"):
            return Naive("write", "default", set())
        if method in ("GET", "HEAD") and unmatched == "cache":
            return Naive("read", "default", set(), ttl=7.0)
        return Naive("bypass", "unmatched", set())
    first = matches[0][1]
    event(f"{len(matches)} rules, {type(first).__name__}")
    if isinstance(first, Read):
        return Naive("read", first.pattern, set(first.tags), ttl=7.0 if first.ttl is None else first.ttl)
    writes = [rule for _, rule in matches if isinstance(rule, Write)]
    if isinstance(first, Write):
        settle = max((w.settle for w in writes if w.settle is not None), default=None)
        return Naive("write", first.pattern, {tag for rule in writes for tag in rule.dirties}, settle)
    return Naive("bypass", first.pattern, set())


def spellings(path: str) -> list[str]:
    """`path` as it is, and without extra slashes but perhaps the last."""
    plain = "/" + "/".join(segment for segment in path.split("/") if segment)
    return [path] if plain == path else [path, plain, plain + "/"] if path.endswith("/") else [path, plain]


@settings(max_examples=600)
@given(
    rules=RULES, path=PATHS, method=METHODS, ignore_case=st.booleans(), unmatched=st.sampled_from(["cache", "bypass"])
)
def test_the_rules_decide_as_a_naive_matcher_does(
    rules: list[Any], path: str, method: str, ignore_case: bool, unmatched: Any
) -> None:
    rules = without_conflicts(rules, ignore_case)
    controller = Controller(rules, ttl=7.0, ignore_case=ignore_case, unmatched=unmatched)
    decision = controller.decide(method, path)
    found = [naive(rules, spelling, method, ignore_case, unmatched) for spelling in spellings(path)]
    writes = [of for of in found if of.kind == "write"]
    if writes:  # in any spelling
        named = [of.rule for of in writes if of.rule != "default"]
        assert (decision.kind, decision.rule) == ("write", named[0] if named else "default")
        assert set(decision.tags) == set().union(*(of.tags for of in writes))
        assert decision.settle == max((of.settle for of in writes if of.settle is not None), default=None)
        return
    assert (decision.kind, decision.rule) == found[0][:2]
    if decision.kind == "read":
        assert decision.ttl == found[0].ttl
        assert set(decision.tags) == set().union(*(of.tags for of in found if of.kind == "read"))


@given(rules=RULES, path=PATHS, method=METHODS, order=st.randoms())
def test_the_order_of_the_rules_does_not_matter(rules: list[Any], path: str, method: str, order: Any) -> None:
    rules = without_conflicts(rules, False)
    shuffled = list(rules)
    order.shuffle(shuffled)
    first, second = (Controller(given).decide(method, path) for given in (rules, shuffled))
    assert (first.kind, first.rule, set(first.tags)) == (second.kind, second.rule, set(second.tags))
