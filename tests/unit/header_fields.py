"""Header fields and dates as the pure functions of the RFCs take them."""

from __future__ import annotations

from email.utils import formatdate

NOW = 1_700_000_000.0


def http_date(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


def at(seconds: float) -> str:
    return http_date(NOW + seconds)


def headers(control: str | list[str] | None = None, **fields: str | list[str]) -> dict[str, list[str]]:
    if control is not None:
        fields["cache_control"] = control
    return {name.replace("_", "-"): [value] if isinstance(value, str) else value for name, value in fields.items()}


def items(*pairs: tuple[str, str]) -> list[tuple[bytes, bytes, bytes]]:
    return [(name.encode(), name.lower().encode(), value.encode()) for name, value in pairs]
