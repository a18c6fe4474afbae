"""A client in RFC 9111 mode, and what its server says."""

from __future__ import annotations

from typing import Any

import pytest
from rfc_origins import RFC, Make, Said


@pytest.fixture
def client(cached: Make) -> Any:
    """A client in RFC mode."""
    return cached(RFC)


@pytest.fixture
def says(origin: Any) -> Said:
    """Sets the header fields that the server answers with: `says(etag='"a"', cache_control="max-age=9")`."""

    def set_fields(status: int = 200, *, more: Any = (), **named: str) -> None:
        fields = [(name.replace("_", "-"), value) for name, value in named.items()]
        origin.reply = {"status_code": status, "headers": [*fields, *more]}

    return set_fields
