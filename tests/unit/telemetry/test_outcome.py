"""CacheOutcome and the codes of reasons."""

from __future__ import annotations

import pytest

from pywats_cache import REASONS, CacheOutcome


def test_an_outcome_is_immutable() -> None:
    outcome = CacheOutcome("miss", "unknown")
    with pytest.raises(AttributeError):
        outcome.status = "hit"  # type: ignore[misc]


def test_an_outcome_of_a_bypass_has_neither_key_nor_ttl() -> None:
    assert CacheOutcome("bypass", "range") == ("bypass", "range", 0.0, None, None, False, None)


def test_every_reason_has_a_meaning_of_one_line() -> None:
    assert REASONS
    for code, meaning in REASONS.items():
        assert code == code.lower()
        assert " " not in code
        assert meaning
        assert "\n" not in meaning
