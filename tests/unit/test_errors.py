"""The exceptions, and the checks that raise them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from pywats_cache import CachingError, ConfigurationError, ConfigurationTypeError, StorageError
from pywats_cache.support.checks import flag, seconds, whole, words


def test_every_error_is_caught_by_the_base() -> None:
    assert all(issubclass(kind, CachingError) for kind in (ConfigurationError, ConfigurationTypeError, StorageError))


def test_bad_values_are_value_errors_and_bad_types_are_type_errors() -> None:
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(ConfigurationTypeError, TypeError)
    assert not issubclass(StorageError, (ValueError, TypeError))


@pytest.mark.parametrize(
    ("check", "value", "kind"),
    [
        (lambda v: seconds("p", v), -1, ConfigurationError),
        (lambda v: seconds("p", v), -0.001, ConfigurationError),
        (lambda v: seconds("p", v), math.nan, ConfigurationError),
        (lambda v: seconds("p", v), math.inf, ConfigurationError),
        (lambda v: seconds("p", v, infinite=True), -math.inf, ConfigurationError),
        (lambda v: seconds("p", v, positive=True), 0, ConfigurationError),
        (lambda v: seconds("p", v), True, ConfigurationTypeError),
        (lambda v: seconds("p", v), "5", ConfigurationTypeError),
        (lambda v: seconds("p", v), None, ConfigurationTypeError),
        (lambda v: whole("p", v, least=1), 0, ConfigurationError),
        (lambda v: whole("p", v, least=1), 1.0, ConfigurationTypeError),
        (lambda v: whole("p", v, least=0), False, ConfigurationTypeError),
        (lambda v: whole("p", v, least=0), None, ConfigurationTypeError),
        (lambda v: words("p", v), "product", ConfigurationTypeError),
        (lambda v: words("p", v), 5, ConfigurationTypeError),
        (lambda v: words("p", v), ["product", 7], ConfigurationTypeError),
        (lambda v: flag("p", v), 1, ConfigurationTypeError),
        (lambda v: flag("p", v), "yes", ConfigurationTypeError),
        (lambda v: flag("p", v), None, ConfigurationTypeError),
    ],
)
def test_a_check_names_parameter_and_value(check: Callable[[Any], object], value: object, kind: type) -> None:
    with pytest.raises(kind) as caught:
        check(value)
    message = str(caught.value)
    assert message.startswith("p must ")
    assert repr(value[1] if isinstance(value, list) else value) in message


def test_bytes_are_no_words() -> None:
    with pytest.raises(ConfigurationTypeError, match="p must "):
        words("p", b"product")


def test_an_empty_word_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="p must not hold an empty string"):
        words("p", ["a", ""])


def test_a_message_says_what_is_allowed() -> None:
    with pytest.raises(ConfigurationError, match=r"> 0, a timedelta, or a text such as .*, not 0"):
        seconds("p", 0, positive=True)
    with pytest.raises(ConfigurationError, match=r">= 0 \(inf: no limit\)"):
        seconds("p", -1, infinite=True)
    with pytest.raises(ConfigurationError, match="whole number >= 7, not 6"):
        whole("p", 6, least=7)
    with pytest.raises(ConfigurationTypeError, match="True or False, not 'on'"):
        flag("p", "on")


def test_good_values_pass_unchanged() -> None:
    assert seconds("p", 0) == 0.0
    assert seconds("p", math.inf, infinite=True) == math.inf
    assert isinstance(seconds("p", 3), float)
    assert whole("p", 5, least=5) == 5
    assert words("p", iter(["a", "b"])) == ("a", "b")
    assert flag("p", False) is False


def test_a_number_too_large_for_a_float_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError):
        seconds("p", 10**400, infinite=True)
