"""The public HTTP cache tests, where CACHE_TESTS names a checkout; and the runner itself, on definitions of its own."""

from __future__ import annotations

from typing import Any

import pytest
from conformance_client import Outcome, run_test
from conformance_origin import Origin, fixed_value, serving
from conformance_subjects import SUBJECTS
from conformance_suite import Test, checkout, load, with_dependencies
from run_conformance import run, selected

NOT_MET = {
    # A date that is earlier than the stored answer's says that the caller's copy is older (RFC 9111 §4.3.2).
    "conditional-lm-fresh-no-lm",
    # Credentials, Cookie among them, separate answers: a promise that comes before reuse.
    "other-cookie",
    # Whether a write that was answered by a 5xx took effect is not known, so what it may have changed is never served:
    # promise 1 is stricter than RFC 9111 §4.4, which invalidates after a success only.
    "invalidate-DELETE-failed",
    "invalidate-M-SEARCH-failed",
    "invalidate-POST-failed",
    "invalidate-PUT-failed",
    # Partial content is not stored. (The parts in these tests are also shorter than their Content-Range says.)
    "partial-store-partial-complete",
    "partial-store-partial-reuse-partial",
    "partial-store-partial-reuse-partial-absent",
    "partial-store-partial-reuse-partial-byterange",
    "partial-store-partial-reuse-partial-suffix",
}
"""Optimal behaviours that RFC mode leaves out, on purpose."""


@pytest.mark.skipif(checkout() is None, reason="CACHE_TESTS names no checkout of the public cache tests")
def test_rfc_mode_meets_the_public_tests() -> None:
    path = checkout()
    assert path is not None
    tests = selected(load(path))
    outcomes = run(tests, SUBJECTS["rfc9111"])
    results = with_dependencies(tests, {test: outcome.result for test, outcome in outcomes.items()})
    wrong = {
        test.id: outcomes[test.id].reason for test in tests if test.kind != "check" and results[test.id] != "passed"
    }
    assert {test: reason for test, reason in wrong.items() if test not in NOT_MET} == {}


@pytest.fixture(scope="module")
def origin() -> Any:
    with serving() as origin:
        yield origin


def made(*requests: dict[str, Any]) -> Test:
    return Test("made-up", "Made up", "required", list(requests))


def outcome(origin: Origin, subject: str, *requests: dict[str, Any]) -> Outcome:
    return run_test(made(*requests), origin, SUBJECTS[subject])


def test_what_comes_from_the_cache_is_told_from_what_does_not(origin: Origin) -> None:
    cached = ({"setup": True, "pause_after": True}, {"expected_type": "cached"})
    fetched = ({"setup": True, "pause_after": True}, {"expected_type": "not_cached"})
    assert outcome(origin, "ttl", *cached) == Outcome("passed")
    assert outcome(origin, "none", *cached) == Outcome("failed", "response 2 does not come from the cache")
    assert outcome(origin, "ttl", *fetched) == Outcome("failed", "response 2 comes from the cache")
    assert outcome(origin, "none", *fetched) == Outcome("passed")


@pytest.mark.parametrize(
    ("told", "result"),
    [
        (
            {"response_headers": [["A", "1"], ["A", "2"]], "expected_response_headers": [["A", "1, 2"], "date"]},
            "passed",
        ),
        ({"expected_response_headers": ["a"]}, "failed"),
        ({"expected_response_headers": ["a"], "setup": True}, "setup"),
        ({"expected_response_headers": ["a"], "setup_tests": ["expected_response_headers"]}, "setup"),
        ({"response_headers": [["A", "12"]], "expected_response_headers": [["A", ">", 11]]}, "passed"),
        ({"response_headers": [["A", "12"]], "expected_response_headers": [["A", ">", 12]]}, "failed"),
        ({"response_headers": [["A", "12"]], "expected_response_headers": [["A", "=", "B"]]}, "failed"),
        ({"response_headers": [["A", "12"]], "expected_response_headers_missing": ["A"]}, "failed"),
        ({"response_headers": [["A", "12"]], "expected_response_headers_missing": [["A", "2"]]}, "failed"),
        ({"response_headers": [["A", "12"]], "expected_response_headers_missing": [["A", "3"], "B"]}, "passed"),
        ({"response_status": [299, "Odd"], "response_body": "x", "expected_response_text": "x"}, "passed"),
        ({"response_status": [204, "No Content"]}, "passed"),
        ({"response_status": [404, "Not Found"], "expected_status": 200}, "failed"),
        ({"response_body": "x", "expected_response_text": "y"}, "failed"),
        ({"disconnect": True}, "failed"),
        ({"request_method": "HEAD", "expected_method": "HEAD"}, "passed"),
        ({"request_method": "M-SEARCH", "request_body": "abc", "expected_method": "M-SEARCH"}, "passed"),
        ({"request_headers": [["A", "1"]], "expected_request_headers": [["A", "1"], "Req-Num"]}, "passed"),
        ({"expected_request_headers": ["A"]}, "failed"),
        ({"expected_request_headers_missing": ["A", ["Req-Num", "2"]]}, "passed"),
        ({"expected_request_headers_missing": ["Req-Num"]}, "failed"),
        ({"response_headers": [["ETag", '"\xfc"'], ["Content-Length", "3"]], "check_body": False}, "passed"),
        ({"interim_responses": [[103, [["link", "</a>"]]]]}, "passed"),
    ],
)
def test_each_check_is_made(origin: Origin, told: dict[str, Any], result: str) -> None:
    assert outcome(origin, "none", told).result == result


def test_a_request_that_should_validate_gets_304_or_fails(origin: Origin) -> None:
    first = {"response_headers": [["Last-Modified", -100], ["ETag", '"a"']]}
    by_tag = {"request_headers": [["If-None-Match", '"a"']], "expected_type": "etag_validated", "expected_status": 304}
    by_date = {
        "request_headers": [["If-Modified-Since", -100]],
        "magic_ims": True,
        "expected_type": "lm_validated",
        "expected_status": 304,
    }
    assert outcome(origin, "none", first, by_tag).result == "passed"
    assert outcome(origin, "none", first, by_date).result == "passed"
    unasked = outcome(origin, "none", first, {"expected_type": "etag_validated"})
    assert unasked == Outcome("failed", "request 2 should have been conditional")


def test_time_passes_only_in_the_runner(origin: Origin) -> None:
    date = {"response_headers": [["Date", 0]], "expected_response_headers": [["Date", 0]]}
    assert outcome(origin, "ttl", {**date, "pause_after": True}, {**date, "expected_type": "cached"}).result == "passed"
    assert outcome(origin, "none", {**date, "response_pause": 600}).result == "passed"


def test_dates_and_locations_are_made_when_they_are_sent() -> None:
    def fixed(name: str, value: Any, **request: Any) -> str:
        return fixed_value(name, value, now=784_111_777.9, base="/test/x", request=request)

    assert fixed("Date", 0) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert fixed("Expires", -37, rfc850date=["expires"]) == "Sunday, 06-Nov-94 08:49:00 GMT"
    assert fixed("Expires", "0") == "0"
    assert fixed("Age", 5) == "5"
    assert fixed("Location", "a") == "a"
    assert fixed("Location", "a", magic_locations=True) == "/test/x/a"
    assert fixed("Content-Location", "", magic_locations=True) == "/test/x"


def test_what_depends_on_a_failed_test_says_nothing() -> None:
    tests = [
        Test("a", "A", "check", []),
        Test("b", "B", "required", [], ("a",)),
        Test("c", "C", "required", [], ("b",)),
        Test("d", "D", "required", []),
        Test("e", "E", "required", [], ("gone",)),
    ]
    raw = {"a": "failed", "b": "passed", "c": "passed", "e": "passed"}
    assert with_dependencies(tests, raw) == {
        "a": "failed",
        "b": "dependency",
        "c": "dependency",
        "d": "untested",
        "e": "dependency",
    }


def test_what_is_asked_of_a_private_cache_on_httpx() -> None:
    tests = [
        Test("shared", "A shared cache must", "required", []),
        Test("cdn", "A CDN must", "required", [], traits={"cdn_only": True}),
        Test("interim", "A cache must", "required", [{"expected_interim_responses": []}]),
        Test("coding", "A cache must", "required", [{"response_headers": [["Transfer-Encoding", "x"]]}]),
        Test("plain", "A cache must", "required", [{}]),
    ]
    assert [test.id for test in selected(tests)] == ["plain"]
    assert len(selected(tests, everything=True)) == 5
