"""CacheOutcome and the codes of reasons."""

from __future__ import annotations

from typing import get_args

import pytest

from pywats_cache import REASONS, CacheOutcome
from pywats_cache.telemetry.outcome import Reason, meaning


def test_an_outcome_is_immutable() -> None:
    outcome = CacheOutcome("miss", "unknown")
    with pytest.raises(AttributeError):
        outcome.status = "hit"  # type: ignore[misc]


def test_an_outcome_of_a_bypass_has_neither_key_nor_ttl() -> None:
    assert CacheOutcome("bypass", "range") == ("bypass", "range", 0.0, None, None, False, None)


def test_the_codes_that_type_checkers_know_are_those_with_a_meaning() -> None:
    assert get_args(Reason) == tuple(REASONS)


def test_a_word_that_is_no_reason_has_no_meaning() -> None:
    assert meaning("fresh") == REASONS["fresh"]
    assert meaning("ConnectError") is None


def test_every_reason_has_a_meaning_of_one_line() -> None:
    assert REASONS
    for code, words in REASONS.items():
        assert code == code.lower()
        assert " " not in code
        assert words
        assert "\n" not in words
