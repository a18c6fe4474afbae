"""Controller, Read, Write and Bypass: what they refuse, and what they decide."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable

import pytest

from pywats_cache import Bypass, CachingError, ConfigurationError, Controller, Read, Write

BAD_VALUES: list[tuple[Callable[[], object], str, str]] = [
    (lambda: Controller(ttl=-1), "ttl", "-1"),
    (lambda: Controller(ttl=math.nan), "ttl", "nan"),
    (lambda: Controller(unmatched="store"), "unmatched", "'store'"),  # type: ignore[arg-type]
    (lambda: Controller(drop_on=(401, 99)), "drop_on", "99"),
    (lambda: Controller(drop_on=(600,)), "drop_on", "600"),
    (lambda: Controller(join_timeout=-0.5), "join_timeout", "-0.5"),
    (lambda: Controller(join_timeout=math.inf), "join_timeout", "inf"),
    (lambda: Controller(partition=("",)), "partition", "empty"),
    (lambda: Read("/x", ttl=-1), "ttl", "-1"),
    (lambda: Read("/x", ttl=math.nan), "ttl", "nan"),
    (lambda: Read("/x", tags=("",)), "tags", "empty"),
    (lambda: Read("/x", methods=()), "methods", "()"),
    (lambda: Read("/x", methods=("GE T",)), "methods", "'GE T'"),
    (lambda: Read("/x", methods=("HEAD",)), "methods", "HEAD"),
    (lambda: Read("/x", statuses=(100,)), "statuses", "100"),
    (lambda: Read("/x", statuses=(200, 700)), "statuses", "700"),
    (lambda: Write("/x", settle=-1), "settle", "-1"),
    (lambda: Write("/x", settle=math.inf), "settle", "inf"),
    (lambda: Write("/x", dirties=("",)), "dirties", "empty"),
    (lambda: Write("/x", methods=()), "methods", "()"),
    (lambda: Bypass("/x", methods=("a/b",)), "methods", "'A/B'"),
    (lambda: Bypass("x"), "pattern", "'x'"),
    (lambda: Read(""), "pattern", "''"),
    (lambda: Write("/a/**/b"), "pattern", "'/a/**/b'"),
]

BAD_TYPES: list[tuple[Callable[[], object], str, str]] = [
    (lambda: Controller(ttl=True), "ttl", "True"),
    (lambda: Controller(ttl="60"), "ttl", "'60'"),  # type: ignore[arg-type]
    (lambda: Controller(ttl=None), "ttl", "None"),  # type: ignore[arg-type]
    (lambda: Controller(drop_on=401), "drop_on", "401"),  # type: ignore[arg-type]
    (lambda: Controller(drop_on="401"), "drop_on", "'401'"),  # type: ignore[arg-type]
    (lambda: Controller(drop_on=(True,)), "drop_on", "True"),
    (lambda: Controller(store_empty=0), "store_empty", "0"),  # type: ignore[arg-type]
    (lambda: Controller(ignore_case="no"), "ignore_case", "'no'"),  # type: ignore[arg-type]
    (lambda: Controller(join_timeout=None), "join_timeout", "None"),  # type: ignore[arg-type]
    (lambda: Controller(partition="X-Tenant"), "partition", "'X-Tenant'"),
    (lambda: Controller(partition=(1,)), "partition", "1"),  # type: ignore[arg-type]
    (lambda: Controller(rules="/x"), "rules", "'/x'"),  # type: ignore[arg-type]
    (lambda: Controller(rules=None), "rules", "None"),  # type: ignore[arg-type]
    (lambda: Controller(rules=["/x"]), "rules", "'/x'"),  # type: ignore[list-item]
    (lambda: Controller(rules=[Read]), "rules", "Read"),  # type: ignore[list-item]
    (lambda: Controller(rules=Read("/x")), "rules", "Read"),  # type: ignore[arg-type]
    (lambda: Read("/x", ttl=False), "ttl", "False"),
    (lambda: Read("/x", tags="product"), "tags", "'product'"),  # type: ignore[arg-type]
    (lambda: Read("/x", methods="GET"), "methods", "'GET'"),  # type: ignore[arg-type]
    (lambda: Read("/x", methods=(None,)), "methods", "None"),  # type: ignore[arg-type]
    (lambda: Read("/x", statuses=200), "statuses", "200"),  # type: ignore[arg-type]
    (lambda: Read("/x", statuses=("200",)), "statuses", "'200'"),  # type: ignore[arg-type]
    (lambda: Read("/x", bypass_query="fresh"), "bypass_query", "'fresh'"),  # type: ignore[arg-type]
    (lambda: Read("/x", vary="Accept"), "vary", "'Accept'"),  # type: ignore[arg-type]
    (lambda: Read("/x", vary=(5,)), "vary", "5"),  # type: ignore[arg-type]
    (lambda: Read("/x", vary=None), "vary", "None"),  # type: ignore[arg-type]
    (lambda: Read("/x", ignore_no_store=1), "ignore_no_store", "1"),  # type: ignore[arg-type]
    (lambda: Write("/x", dirties="report"), "dirties", "'report'"),  # type: ignore[arg-type]
    (lambda: Write("/x", settle=True), "settle", "True"),
    (lambda: Read(5), "pattern", "5"),  # type: ignore[arg-type]
    (lambda: Bypass(None), "pattern", "None"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "parameter", "value"), BAD_VALUES)
def test_a_bad_value_is_refused_by_name(make: Callable[[], object], parameter: str, value: str) -> None:
    with pytest.raises(ValueError, match=parameter) as caught:
        make()
    assert isinstance(caught.value, CachingError)
    assert value in str(caught.value)


@pytest.mark.parametrize(("make", "parameter", "value"), BAD_TYPES)
def test_a_bad_type_is_refused_by_name(make: Callable[[], object], parameter: str, value: str) -> None:
    with pytest.raises(TypeError, match=parameter) as caught:
        make()
    assert isinstance(caught.value, CachingError)
    assert value in str(caught.value)


def test_two_rules_with_the_same_pattern_and_method_conflict() -> None:
    with pytest.raises(ValueError, match="rules must not conflict for GET") as caught:
        Controller([Read("/a/{id}", ttl=1), Read("/a/{other}", ttl=2)])
    assert "'/a/{id}'" in str(caught.value)
    assert "'/a/{other}'" in str(caught.value)


@pytest.mark.parametrize("other", [Bypass("/a/*", methods=("POST",)), Read("/a/{x}", methods=("POST",)), Write("/a/*")])
def test_rules_of_different_kinds_conflict_too(other: Read | Write | Bypass) -> None:
    with pytest.raises(ValueError, match="conflict for POST"):
        Controller([Write("/a/{id}", methods=("POST",)), other])


def test_rules_conflict_without_case_only_if_the_controller_ignores_it() -> None:
    rules = [Read("/Api"), Read("/api", ttl=5)]
    Controller(rules)
    with pytest.raises(ValueError, match="conflict"):
        Controller(rules, ignore_case=True)


def test_the_same_pattern_with_other_methods_does_not_conflict() -> None:
    controller = Controller([Read("/a"), Write("/a", methods=("PUT",)), Bypass("/a", methods=("POST",))])
    assert [controller.decide(m, "/a").kind for m in ("GET", "PUT", "POST")] == ["read", "write", "bypass"]


@pytest.mark.parametrize("rule", [Read("/x"), Write("/x"), Bypass("/x")])
def test_a_rule_is_immutable(rule: Read | Write | Bypass) -> None:
    with pytest.raises(AttributeError, match="immutable"):
        rule.pattern = "/y"
    with pytest.raises(AttributeError, match="immutable"):
        del rule.methods


@pytest.mark.parametrize("rule", [Read("/x", 5, ("a",)), Write("/x", settle=1.0), Bypass("/x")])
def test_a_rule_equals_its_copies_and_nothing_else(rule: Read | Write | Bypass) -> None:
    for other in (copy.copy(rule), pickle.loads(pickle.dumps(rule))):
        assert other == rule
        assert hash(other) == hash(rule)
    assert rule != type(rule)("/y")
    assert rule != "/x"
    assert Bypass("/x", ("PUT",)) != Write("/x", ("PUT",))


@pytest.mark.parametrize(
    "written", ["Read('/x')", "Read('/x', tags=('a',), ttl=5.0)", "Write('/x', settle=1.0)", "Bypass('/x')"]
)
def test_a_rule_is_shown_as_one_writes_it(written: str) -> None:
    assert repr(eval(written)) == written


def test_a_rule_keeps_its_iterables_as_tuples() -> None:
    rule = Read("/x", tags=["a"], methods=["get"], statuses=[200], bypass_query=["Fresh"])  # type: ignore[arg-type]
    assert (rule.tags, rule.methods, rule.statuses, rule.bypass_query) == (("a",), ("GET",), (200,), ("fresh",))
    assert hash(rule) == hash(copy.copy(rule))


def test_rules_may_come_from_a_generator() -> None:
    controller = Controller(rule for rule in [Read("/x", ttl=5)])
    assert controller.decide("GET", "/x").ttl == 5


def test_a_read_without_ttl_takes_the_controllers() -> None:
    controller = Controller([Read("/x"), Read("/y", ttl=0), Read("/z", ttl=math.inf)], ttl=7)
    assert [controller.decide("GET", path).ttl for path in ("/x", "/y", "/z", "/else")] == [7, 0, math.inf, 7]


def test_a_literal_path_beats_a_template_beats_a_rest() -> None:
    controller = Controller(
        [Read("/**", ttl=1), Read("/a/**", ttl=2), Read("/a/{id}", ttl=3), Read("/a/b", ttl=4), Read("/*/b", ttl=5)]
    )
    decided = {path: controller.decide("GET", path).ttl for path in ("/a/b", "/a/c", "/a/b/c", "/x/b", "/x", "/")}
    assert decided == {"/a/b": 4, "/a/c": 3, "/a/b/c": 2, "/x/b": 5, "/x": 1, "/": 1}


def test_the_order_of_the_rules_does_not_matter() -> None:
    rules = [Read("/a/**", ttl=1), Bypass("/a/b", methods=("GET",)), Read("/a/{id}", ttl=3)]
    for ordered in (rules, rules[::-1]):
        controller = Controller(ordered)
        assert controller.decide("GET", "/a/b").kind == "bypass"
        assert controller.decide("GET", "/a/c").ttl == 3


def test_a_write_takes_the_union_of_all_write_rules_that_match() -> None:
    controller = Controller(
        [
            Write("/a/**", dirties=("tree", "both"), settle=2),
            Write("/a/{id}", dirties=("one", "both"), settle=9),
            Write("/a/b"),
        ]
    )
    decision = controller.decide("PUT", "/a/b")
    assert decision.kind == "write"
    assert decision.rule == "/a/b"
    assert sorted(decision.tags) == ["both", "one", "tree"]
    assert decision.settle == 9


def test_a_more_specific_read_or_bypass_beats_a_write() -> None:
    controller = Controller(
        [Write("/a/**", dirties=("x",)), Read("/a/query", methods=("POST",)), Bypass("/a/log", methods=("POST",))]
    )
    assert [controller.decide("POST", f"/a/{p}").kind for p in ("query", "log", "else")] == ["read", "bypass", "write"]


def test_head_is_decided_as_the_get() -> None:
    controller = Controller([Read("/a", ttl=5), Bypass("/b", methods=("GET",))])
    assert controller.decide("HEAD", "/a").ttl == 5
    assert controller.decide("HEAD", "/b").kind == "bypass"


def test_without_a_rule_a_get_is_cached_and_an_unsafe_method_writes() -> None:
    controller = Controller(ttl=9)
    assert controller.decide("GET", "/a").ttl == 9
    assert {m: controller.decide(m, "/a").kind for m in ("HEAD", "PUT", "PURGE", "OPTIONS", "TRACE")} == {
        "HEAD": "read",
        "PUT": "write",
        "PURGE": "write",
        "OPTIONS": "bypass",
        "TRACE": "bypass",
    }


def test_unmatched_bypass_leaves_gets_alone_and_writes_still_write() -> None:
    controller = Controller([Read("/a")], unmatched="bypass")
    assert controller.decide("GET", "/a").kind == "read"
    assert controller.decide("GET", "/b").kind == "bypass"
    assert controller.decide("HEAD", "/b").rule == "unmatched"
    assert controller.decide("DELETE", "/b").kind == "write"


def test_a_rule_may_call_a_get_a_write() -> None:
    assert Controller([Write("/log", methods=("GET",))]).decide("GET", "/log").kind == "write"


def test_ignore_case_matches_paths_without_case() -> None:
    rules = [Bypass("/Api/Log/{id}")]
    assert Controller(rules).decide("GET", "/api/LOG/x").kind == "read"
    assert Controller(rules, ignore_case=True).decide("GET", "/api/LOG/x").kind == "bypass"


def test_partition_names_have_no_case_and_a_function_is_kept() -> None:
    assert Controller(partition=("X-Tenant",)).partition == ("x-tenant",)
    assert Controller(partition=str).partition is str


def test_a_repr_shows_the_policy_in_short() -> None:
    assert repr(Controller([Read("/x")], ttl=5)) == "Controller(1 rules, ttl=5.0, unmatched='cache')"


def test_a_method_named_twice_does_not_conflict_with_itself() -> None:
    controller = Controller([Read("/x", methods=("GET", "get"), ttl=3)])
    assert controller.decide("GET", "/x").ttl == 3


def test_a_status_that_is_never_stored_is_refused() -> None:
    with pytest.raises(ValueError, match="statuses"):
        Read("/x", statuses=(206,))


@pytest.mark.parametrize("name", ["X Tenant", "X-Tenant:", "Tenänt"])
def test_a_partition_that_no_header_can_match_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="partition"):
        Controller(partition=(name,))


def test_a_controller_is_immutable() -> None:
    with pytest.raises(AttributeError):
        Controller().ttl = 3  # type: ignore[misc]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_of_a_controller_decides_as_it_does(copied: Callable[[Controller], Controller]) -> None:
    controller = Controller(
        [Read("/a/{id}", 5, ("t",)), Write("/a/**", dirties=("t",)), Bypass("/b")],
        ttl=7,
        partition=("X-Tenant",),
        drop_on=(401,),
        ignore_case=True,
        stale_if_error=3,
        offline="auto",
        jitter=0.5,
    )
    other = copied(controller)
    assert isinstance(other, Controller)
    for name in Controller.__slots__:
        if name[0] != "_":
            assert getattr(other, name) == getattr(controller, name), name
    for method in ("GET", "POST"):
        for path in ("/a/1", "/A/1/2", "/b", "/c"):
            assert other.decide(method, path) == controller.decide(method, path)
    with pytest.raises(AttributeError):
        other.ttl = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", ["*", "X Unit", "X-Unit:", "Einheité"])
def test_vary_names_headers(name: str) -> None:
    with pytest.raises(ConfigurationError, match="vary must hold names of request headers such as 'Accept', or none"):
        Read("/x", vary=("Accept", name))


def test_names_of_vary_have_no_case_and_no_order() -> None:
    rule = Read("/x", vary=["X-Unit", "accept", "ACCEPT"])  # type: ignore[arg-type]
    assert rule.vary == ("accept", "x-unit")
    assert rule == Read("/x", vary=("accept", "x-unit"))
    assert repr(rule) == "Read('/x', vary=('accept', 'x-unit'))"
    assert Read("/x").vary == ("accept", "accept-language")
    assert Controller(rfc9111=True).decide("GET", "/x").vary == ()
