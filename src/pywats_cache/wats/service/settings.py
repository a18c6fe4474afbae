"""The settings of a running service: shown, changed in its file, and applied at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ...errors import CachingError
from ...storage.url import STORAGE_VARIABLE
from ...support.showing import shown
from ...web.settings import SettingsError
from .config import ClientConfig
from .config_file import change_config, read_config
from .fields import CACHE_FIELDS, Field, problems, same
from .reload import CacheSettings

__all__ = ["StationSettings"]

_NEEDS_RESTART = (
    "Nothing here needs a restart. The address, the port and the token of this page do, which come from the command "
    "line or the environment, and so do the other fields of the file, but for service_address, api_token, converters, "
    "enable_metrics, web_hosts and web_prefix."
)
_BY_NAME = {one.name: one for one in CACHE_FIELDS}


class StationSettings:
    """See `Settings`.

    - `apply`: makes the service use its file as it is now; returns None, or why it cannot.
    """

    def __init__(self, path: Path, apply: Callable[[], Awaitable[str | None]]) -> None:
        self._path = path
        self._apply = apply
        self._key = secrets.token_bytes(16)
        self._changing = asyncio.Lock()

    async def document(self) -> dict[str, Any]:
        """What the file says now."""
        try:
            found = await asyncio.to_thread(read_config, self._path)
        except (CachingError, OSError) as error:
            raise SettingsError(_why(error), status=409) from None
        return self._shown(found.document)

    async def change(self, changes: dict[str, Any], version: str | None) -> dict[str, Any]:
        """Check, save and apply; where it cannot be applied, the file is what it was."""
        values = _checked(changes)
        async with self._changing:
            try:
                before, after = await asyncio.to_thread(
                    change_config, self._path, lambda document: self._changed(document, values, version)
                )
            except SettingsError:
                raise
            except (CachingError, OSError) as error:
                raise SettingsError(_why(error), status=409) from None
            changed = [name for name in values if not same(_value(before.document, name), values[name])]
            if not changed:
                return {**self._shown(after.document), "changed": [], "text": "Nothing was changed: it is so already."}
            refusal = await self._apply()
            if refusal is not None:
                await asyncio.to_thread(self._taken_back, before.document, after.document, changed)
                raise SettingsError(f"It cannot be applied, and the settings are what they were: {refusal}", status=409)
        told = " ".join(_told(_BY_NAME[name], values[name]) for name in changed)
        return {**self._shown(after.document), "changed": changed, "text": f"Saved and applied. {told}"}

    def _changed(self, document: dict[str, Any], values: dict[str, Any], version: str | None) -> dict[str, Any]:
        if version is not None and version != self._version(document):
            raise SettingsError(
                "Another program has changed the settings since they were shown. Look at them, and save again.",
                status=409,
            )
        changed = {**document, **values}
        for name, text in problems(changed).items():
            raise SettingsError(text, name if name in _BY_NAME else None)
        try:
            CacheSettings(ClientConfig.from_dict(changed))
        except (CachingError, TypeError, ValueError, OSError) as error:
            text = str(error) if isinstance(error, CachingError) else f"the file cannot be used: {type(error).__name__}"
            raise SettingsError(text, "cache_storage_url" if "cache_storage_url" in text else None) from None
        return changed

    def _taken_back(self, before: dict[str, Any], after: dict[str, Any], changed: list[str]) -> None:
        def restored(document: dict[str, Any]) -> dict[str, Any]:
            mine = [name for name in changed if same(document.get(name), after.get(name))]
            kept = {name: value for name, value in document.items() if name not in mine or name in before}
            return {**kept, **{name: before[name] for name in mine if name in before}}

        change_config(self._path, restored)

    def _shown(self, document: dict[str, Any]) -> dict[str, Any]:
        fields = []
        for one in CACHE_FIELDS:
            value = _value(document, one.name)
            is_open = one.is_open(value)
            fields.append(
                {
                    "name": one.name,
                    "value": _as_json(value) if is_open else None,
                    "shown": one.shown(value),
                    "hidden": not is_open,
                    "default": _as_json(one.default),
                    "allowed": one.allowed,
                    "what": one.what,
                }
            )
        notes = [_NEEDS_RESTART]
        if os.environ.get(STORAGE_VARIABLE) and not _value(document, "cache_storage_url"):
            notes.insert(0, f"{STORAGE_VARIABLE} in the environment names where answers are kept, for no URL is set.")
        return {"file": str(self._path), "version": self._version(document), "fields": fields, "notes": notes}

    def _version(self, document: dict[str, Any]) -> str:
        text = json.dumps([_value(document, one.name) for one in CACHE_FIELDS], sort_keys=True)
        return hashlib.blake2b(text.encode(), key=self._key, digest_size=12).hexdigest()


def _checked(changes: dict[str, Any]) -> dict[str, Any]:
    values = {}
    for name, given in changes.items():
        one = _BY_NAME.get(name)
        if one is None:
            raise SettingsError(f"the fields are {', '.join(_BY_NAME)}, not {shown(name)}")
        try:
            values[name] = one.value_of(given)
        except CachingError as error:
            raise SettingsError(str(error), name) from None
    return values


def _why(error: Exception) -> str:
    """An error of the file in words; the service itself goes on."""
    text = getattr(error, "strerror", None) or str(error)
    return f"{text}. The service goes on with the settings it had"


def _value(document: dict[str, Any], name: str) -> Any:
    return document.get(name, _BY_NAME[name].default)


def _as_json(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _told(one: Field, value: Any) -> str:
    if one.name == "enable_cache":
        return "The cache is on." if value else "The cache is off, and what was in memory is forgotten."
    if one.name == "cache_ttl_seconds":
        return "Answers are used however old they are." if value == math.inf else f"Answers are used for {value} s."
    if one.name == "cache_max_size":
        return f"At most {value} answers are kept in memory."
    if one.name == "cache_storage_url":
        where = f"Answers are kept at {one.shown(value)}" if value else "Answers are kept where the environment says"
        return f"{where}; what was kept elsewhere is not taken along."
    if value == "auto":
        return "While the server cannot be reached, stored answers are served."
    return "The server is not asked any more." if value == "only" else "Stored answers are not served while offline."
