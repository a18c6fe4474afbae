"""The table of routes, and the policy made of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from sdk_calls import KNOWN_FAILURES, arguments, service, service_methods

from pywats_cache import Bypass, CachingError, Read, pyWATS
from pywats_cache.wats import ROUTES, wats_controller, wats_rules
from pywats_cache.wats.rules import prefix_of


def test_the_table_has_every_row() -> None:
    assert len(ROUTES) == 229
    assert Counter(route.kind for route in ROUTES) == {"read": 88, "write": 88, "bypass": 53}


def test_every_row_is_a_rule_or_repeats_one() -> None:
    rules = wats_rules()
    named = {(rule.pattern.casefold(), method) for rule in rules for method in rule.methods}
    missing = [r for r in ROUTES if "=" not in r.path and (r.path.casefold(), r.method) not in named]
    assert missing == []
    # /api/App/Processes is called by two domains; userName={username} is any one segment, as {user_id} is.
    assert len(rules) == 227


def test_every_row_decides_as_it_says() -> None:
    controller = wats_controller(86400.0)
    for route in ROUTES:
        decision = controller.decide(route.method, route.path.replace("{", "x").replace("}", "x"))
        assert decision.kind == route.kind, route
        assert set(route.tags) <= set(decision.tags), route
        assert decision.ttl == route.ttl, route
        assert decision.settle == route.settle, route
        assert decision.bypass_query == route.bypass_query, route


def test_cache_ttl_is_a_ceiling() -> None:
    controller = wats_controller(100.0)
    assert controller.decide("GET", "/api/Product/A").ttl == 100.0
    assert controller.decide("GET", "/api/Asset").ttl == 30.0
    assert wats_controller(0).decide("GET", "/api/Asset").ttl == 0.0
    assert wats_controller(float("inf")).decide("GET", "/api/Product/A").ttl == 1800.0


@pytest.mark.parametrize(
    ("base_url", "prefix"),
    [
        ("http://wats.example", ""),
        ("http://wats.example/", ""),
        ("http://wats.example/our wats/", "/our%20wats"),
        ("http://wats.example/{a}?b=c", "/%7Ba%7D"),
        ("http://wats.example/a*", ""),  # no pattern, so no rule applies
        ("wats.example", ""),
    ],
)
def test_the_path_of_a_base_url_is_a_prefix(base_url: str, prefix: str) -> None:
    assert prefix_of(base_url) == prefix
    pattern = wats_rules(60, prefix)[0].pattern
    assert pattern.startswith(f"{prefix}/api/")
    pyWATS(base_url=base_url, token="t").close()


def test_paths_match_without_case() -> None:
    assert wats_controller().decide("GET", "/API/product/vendors").tags == ("vendor",)


def test_what_no_rule_names_goes_around_the_cache() -> None:
    controller = wats_controller()
    assert controller.decide("GET", "/api/Product/A/B/C").kind == "bypass"
    assert controller.decide("POST", "/api/Unknown").kind == "write"


@pytest.mark.parametrize("bad", [-1, float("nan"), True, "60", None])
def test_a_bad_ttl_is_named(bad: object) -> None:
    with pytest.raises((ValueError, TypeError), match="cache_ttl must be a number of seconds >= 0"):
        wats_rules(bad)  # type: ignore[arg-type]


def test_every_call_of_the_sdk_has_a_rule(server) -> None:
    controller = wats_controller()
    unlisted = set()
    with pyWATS(base_url=server.base_url, token=server.token) as api:
        for domain, name in service_methods():
            server.reset()
            api.cache.clear()
            args, kwargs = arguments(domain, name, server)
            try:
                getattr(service(api, domain), name)(*args, **kwargs)
            except tuple({*KNOWN_FAILURES.values()}):
                assert (domain, name) in KNOWN_FAILURES
            for request in server.requests:
                if controller.decide(request.method, request.path).rule in ("default", "unmatched"):
                    unlisted.add((domain, name, request.method, request.path))
    assert unlisted == set()


def test_a_rule_of_the_user_replaces_the_built_in_one_and_nothing_else() -> None:
    mine = [Read("/api/product/{number}", ttl=900, tags=("product",)), Bypass("/api/Asset", methods=("GET",))]
    controller, built_in = wats_controller(60, rules=mine), wats_controller(60)
    assert controller.decide("GET", "/api/Product/A").ttl == 900
    assert controller.decide("GET", "/api/Asset").kind == "bypass"
    for route in ROUTES:
        path = route.path.replace("{", "x").replace("}", "x")
        if controller.decide(route.method, path).rule not in [rule.pattern for rule in mine]:
            assert controller.decide(route.method, path) == built_in.decide(route.method, path), route
    assert (controller.unmatched, controller.drop_on) == (built_in.unmatched, built_in.drop_on)


@pytest.mark.parametrize("prefix", [5, None, "wats", "https://wats.example/wats"])
def test_a_bad_prefix_is_named(prefix: Any) -> None:
    with pytest.raises(CachingError, match=r"prefix must be .* such as '/wats', not "):
        wats_controller(prefix=prefix)


@pytest.mark.parametrize("rules", [5, ["/api/Product"], [Read("/a"), Bypass("/a")]])
def test_bad_rules_of_the_user_are_named(rules: Any) -> None:
    with pytest.raises(CachingError, match="rules must"):
        wats_controller(rules=rules)
