"""Every exception of this package, as one small tree.

```
CachingError
├── ConfigurationError   (also a ValueError)   a bad value, at construction or in a directive
├── ConfigurationTypeError   (also a TypeError)   a value of the wrong type, or arguments that exclude each other
└── StorageError         a storage failed; never reaches a caller of a request
    └── MissingStoreError    there is none at the place that was named
```

Errors of the network are those of httpx and pass through untouched.
"""

from __future__ import annotations

__all__ = ["CachingError", "ConfigurationError", "ConfigurationTypeError", "MissingStoreError", "StorageError"]


class CachingError(Exception):
    """Base of all errors raised by this package."""

    __module__ = "pywats_cache"


class ConfigurationError(CachingError, ValueError):
    """A parameter has a value that is not allowed; the message names parameter, value and what is allowed."""

    __module__ = "pywats_cache"


class ConfigurationTypeError(CachingError, TypeError):
    """A parameter has a type that is not allowed, or two parameters exclude each other."""

    __module__ = "pywats_cache"


class StorageError(CachingError):
    """A storage could not read or write. Logged and counted; the request it happened in goes to the server.

    - `kind`: the class of the error behind it, where that is not chained, for its text may hold a secret.
    """

    __module__ = "pywats_cache"

    kind: str = ""


class MissingStoreError(StorageError):
    """A store that was to be looked at is not there, or its server cannot be reached."""

    __module__ = "pywats_cache"
