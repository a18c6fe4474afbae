"""The client's part of the public cache tests: sends the requests of a test and judges what comes back."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
from conformance_origin import NO_BODY, Origin, Run, Seen, fixed_value
from conformance_subjects import Subject
from conformance_suite import Test


class Wrong(Exception):
    """A check failed; `setup` says that it is only a condition of what the test is about."""

    def __init__(self, setup: bool, message: str) -> None:
        super().__init__(message)
        self.setup = setup


@dataclass(frozen=True)
class Outcome:
    """`passed`, `failed`, or `setup` where the test could not be carried out; and why."""

    result: str
    reason: str = ""


@dataclass
class Answer:
    """One response as a client sees it: lines of one name joined."""

    status: int
    headers: dict[str, str]
    text: str

    @classmethod
    def of(cls, response: httpx.Response) -> Answer:
        """The parts of a response that are judged."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in response.headers.raw:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return cls(response.status_code, headers, response.text)

    def number(self, name: str) -> float:
        """The leading whole number of a header; NaN, which compares as false, without one."""
        found = re.match(r"\s*[+-]?\d+", self.headers.get(name.lower(), ""))
        return float(found[0]) if found else float("nan")


def run_test(test: Test, origin: Origin, subject: Subject) -> Outcome:
    """One test, with a cache of its own that holds nothing yet."""
    clock = subject.clock()
    run = Run(str(uuid.uuid4()), test.requests, clock, clock.advance)
    origin.runs[run.token] = run
    client = httpx.Client(
        transport=subject.transport(clock),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=10,
        trust_env=False,
    )
    answers: list[Answer] = []
    try:
        with client:
            for number, told in enumerate(test.requests, 1):
                answers.append(Answer.of(_send(client, origin, run, number, told, answers)))
                _check_answer(number, told, answers[-1], run)
                if told.get("pause_after"):
                    subject.settle()
                    clock.advance(3)
            subject.settle()
        _check_seen(test.requests, answers, run.seen)
    except Wrong as wrong:
        return Outcome("setup" if wrong.setup else "failed", str(wrong))
    except (httpx.HTTPError, httpx.StreamError) as error:
        return Outcome("failed", f"{type(error).__name__}: {error}")
    finally:
        del origin.runs[run.token]
    return Outcome("passed")


def _send(
    client: httpx.Client, origin: Origin, run: Run, number: int, told: dict[str, Any], answers: list[Answer]
) -> httpx.Response:
    url = f"{origin.url}/test/{run.token}"
    if "filename" in told:
        url += f"/{told['filename']}"
    if "query_arg" in told:
        url += f"?{told['query_arg']}"
    headers = [("Req-Num", str(number))]
    if told.get("cache") == "no-cache":
        headers.append(("Cache-Control", "max-age=0"))  # what a reload sends
    for name, value in told.get("request_headers", ()):
        if told.get("magic_ims") and name.lower() == "if-modified-since":
            before = answers[-1].number("server-now") / 1000
            value = fixed_value(name, value, now=before, base="", request=told)
        headers.append((name, str(value).strip(" \t")))  # as fetch does
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    body = told.get("request_body")
    return client.request(told.get("request_method", "GET"), url, headers=encoded, content=body)


def _require(condition: bool, setup: bool, message: str) -> None:
    if not condition:
        raise Wrong(setup, message)


def _is_setup(told: dict[str, Any], member: str) -> bool:
    return told.get("setup") is True or member in told.get("setup_tests", ())


def _check_answer(number: int, told: dict[str, Any], answer: Answer, run: Run) -> None:
    numbers = answer.headers.get("request-numbers", "").split()
    _require(len(numbers) == len(set(numbers)), True, "a request was sent twice")
    _check_type(number, told, answer)
    _check_status(number, told, answer)
    _check_headers(number, told, answer)
    if told.get("check_body") is False:
        return
    if "expected_response_text" in told:
        expected, setup = told["expected_response_text"], _is_setup(told, "expected_response_text")
    elif told.get("response_body") is not None:
        expected, setup = told["response_body"], True
    elif answer.status in NO_BODY or told.get("request_method") == "HEAD":
        return
    else:
        expected, setup = run.token, True
    _require(expected is None or answer.text == expected, setup, f"body {number} is {answer.text!r}, not {expected!r}")


def _check_type(number: int, told: dict[str, Any], answer: Answer) -> None:
    setup, count = _is_setup(told, "expected_type"), answer.number("server-request-count")
    if told.get("expected_type") == "cached":
        # A 304 of the cache's need not carry the origin's fields.
        of_cache = count < number or (answer.status == 304 and count != count)
        _require(of_cache, setup, f"response {number} does not come from the cache")
    elif told.get("expected_type") == "not_cached":
        _require(count == number, setup, f"response {number} comes from the cache")


def _check_status(number: int, told: dict[str, Any], answer: Answer) -> None:
    if "expected_status" in told:
        expected, setup = told["expected_status"], _is_setup(told, "expected_status")
    elif "response_status" in told:
        expected, setup = told["response_status"][0], True
    elif answer.status == 999:
        raise Wrong(_is_setup(told, "expected_type"), f"request {number} should have been conditional")
    else:
        expected, setup = 200, True
    right = expected is None or answer.status == expected
    _require(right, setup, f"status {number} is {answer.status}, not {expected}")


def _check_headers(number: int, told: dict[str, Any], answer: Answer) -> None:
    setup = _is_setup(told, "expected_response_headers")
    for expected in told.get("expected_response_headers", ()):
        name = (expected if isinstance(expected, str) else expected[0]).lower()
        value = answer.headers.get(name)
        if isinstance(expected, str):
            _require(value is not None, setup, f"response {number} has no {name}")
        elif len(expected) == 2:
            now, base = answer.number("server-now") / 1000, answer.headers.get("server-base-url", "")
            wanted = fixed_value(name, expected[1], now=now if now == now else 0.0, base=base, request=told)
            _require(value == wanted, setup, f"response {number} has {name}: {value!r}, not {wanted!r}")
        elif expected[1] == "=":
            _require(value == answer.headers.get(expected[2].lower()), setup, f"{name} differs from {expected[2]}")
        else:
            right = answer.number(name) > expected[2]
            _require(right, setup, f"response {number} has {name}: {value!r}, not more than {expected[2]}")
    setup = _is_setup(told, "expected_response_headers_missing")
    for unwanted in told.get("expected_response_headers_missing", ()):
        name = (unwanted if isinstance(unwanted, str) else unwanted[0]).lower()
        value = answer.headers.get(name)
        absent = value is None or (not isinstance(unwanted, str) and unwanted[1] not in value)
        _require(absent, setup, f"response {number} has {name}: {value!r}")


def _check_seen(requests: list[dict[str, Any]], answers: list[Answer], all_seen: list[Seen]) -> None:
    """Compare what reached the origin with what should have."""
    remaining = iter(all_seen)
    for number, (told, answer) in enumerate(zip(requests, answers, strict=True), 1):
        kind = told.get("expected_type")
        if kind == "cached":
            continue
        seen, setup = next(remaining, None), _is_setup(told, "expected_type")
        if kind == "not_cached":
            _require(seen is not None and seen.number == number, setup, f"request {number} did not reach the origin")
        for validated, name in (("etag_validated", "if-none-match"), ("lm_validated", "if-modified-since")):
            if kind == validated:
                _require(seen is not None and name in seen.headers, setup, f"request {number} has no {name}")
        if seen is None:
            _require("expected_request_headers" not in told, False, f"request {number} did not reach the origin")
            continue
        _check_request(number, told, seen)
        for name, value in seen.answered.items():
            got = answer.headers.get(name.lower())
            _require(name.lower() == "date" or got == value, True, f"response {number} has {name}: {got!r}")


def _check_request(number: int, told: dict[str, Any], seen: Seen) -> None:
    setup = _is_setup(told, "expected_request_headers")
    for expected in told.get("expected_request_headers", ()):
        name = expected if isinstance(expected, str) else expected[0]
        value = seen.headers.get(name.lower())
        right = value is not None if isinstance(expected, str) else value == expected[1]
        _require(right, setup, f"request {number} has {name}: {value!r}")
    setup = _is_setup(told, "expected_request_headers_missing")
    for unwanted in told.get("expected_request_headers_missing", ()):
        name = unwanted if isinstance(unwanted, str) else unwanted[0]
        value = seen.headers.get(name.lower())
        absent = value is None if isinstance(unwanted, str) else value != unwanted[1]
        _require(absent, setup, f"request {number} has {name}: {value!r}")
    if "expected_method" in told:
        wanted = told["expected_method"]
        _require(seen.method == wanted, _is_setup(told, "expected_method"), f"request {number} is {seen.method}")
