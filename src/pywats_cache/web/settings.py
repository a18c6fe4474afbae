"""What the application asks of those who have settings that can be changed from the page."""

from __future__ import annotations

from typing import Any, Protocol

from ..errors import ConfigurationError

__all__ = ["Settings", "SettingsError"]


class SettingsError(ConfigurationError):
    """A change of settings that is refused.

    - `field`: the one that it is about, if it is about one.
    - `status`: 400 for a bad value; 409 where the settings are not what they were when they were read, or cannot be
      written or applied now.
    """

    def __init__(self, text: str, field: str | None = None, status: int = 400) -> None:
        super().__init__(text)
        self.field = field
        self.status = status


class Settings(Protocol):
    """Settings, as documents."""

    async def document(self) -> dict[str, Any]:
        """All of them, what is allowed in each, and a `version` that changes with them. Raises SettingsError."""

    async def change(self, changes: dict[str, Any], version: str | None) -> dict[str, Any]:
        """Save and apply. The document of afterwards, with `changed` and `text`. Raises SettingsError."""
