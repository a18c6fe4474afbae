"""What a process finds out about its server beside its requests: which rights are missing, which keys others have."""

from __future__ import annotations

import logging
import threading
from typing import Any

from ...support.clock import monotonic
from ...support.showing import printable
from .agreement import DIFFERENT, KeyAgreement
from .rights import lacking, missing_rights

__all__ = ["EVERY", "Upkeep"]

logger: logging.Logger = logging.getLogger("pywats_cache.storage.redis")

EVERY = 60.0
"""Seconds from one look to the next."""


class Upkeep:
    """Looks at the server at `client`, and tells what is wrong in `notices`, by code, and once in the log.

    - `secret`: the key of the digests; None: there is none to compare.
    """

    def __init__(self, client: Any, prefix: str, secret: bytes | None, notices: dict[str, str]) -> None:
        self._client = client
        self._prefix = prefix
        self._agreement = None if secret is None else KeyAgreement(client, prefix, secret)
        self._notices = notices
        self._has_rights = False
        self._due = float("-inf")
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def renew(self) -> None:
        """In a forked child: no thread runs."""
        self._lock = threading.Lock()
        self._thread = None

    def look_if_due(self) -> None:
        """Look, in a thread of its own, if that is due. Does not wait."""
        now = monotonic()
        if now >= self._due and self._lock.acquire(blocking=False):
            try:
                if self._thread is None or not self._thread.is_alive():
                    self._due = now + EVERY
                    self._thread = threading.Thread(target=self._look, name="pywats-cache-upkeep", daemon=True)
                    self._thread.start()
            except RuntimeError:  # no more threads; the next look is due in a minute
                pass
            finally:
                self._lock.release()

    def _look(self) -> None:
        if not self._has_rights:
            missing = missing_rights(self._client, self._prefix)
            self._has_rights = missing == []
            if missing is not None:
                self._tell("redis-rights", lacking(missing, self._prefix) if missing else None)
        agreed = None if self._agreement is None else self._agreement.is_kept()
        if agreed is not None:
            self._tell("digest-key", None if agreed else DIFFERENT)

    def _tell(self, code: str, text: str | None) -> None:
        if text is None:
            self._notices.pop(code, None)
        elif self._notices.get(code) != text:
            self._notices[code] = text
            logger.warning("redis: %s", printable(text))

    def close(self, patience: float = 0.3) -> None:
        """Wait until a look is over, at most so many seconds: the server may hang."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(patience)
