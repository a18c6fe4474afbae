"""Every public call of the vendor's SDK, with arguments that fit a SimulatedWATS.

`service_methods()` finds the calls by reflection; `arguments(domain, name, server)` makes keyword arguments from what
the server holds at that moment. After a call that deletes something, `server.reset()` brings it back.

```python
for domain, name in service_methods():
    args, kwargs = arguments(domain, name, server)
    result = getattr(service(api, domain), name)(*args, **kwargs)      # AsyncWATS: await it
```
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from sdk_arguments import BY_METHOD, BY_NAME

from wats_simulator.simulator import SimulatedWATS

DOMAINS = (
    "analytics",
    "asset",
    "manual_inspection",
    "process",
    "product",
    "production",
    "report",
    "rootcause",
    "scim",
    "software",
)

KNOWN_FAILURES: dict[tuple[str, str], type[Exception]] = {
    # `json=` and `files=` are no arguments of the SDK's own HTTP client (with the SDK's own cache on).
    ("scim", "create_user"): TypeError,
    ("scim", "update_user"): TypeError,
    ("scim", "deactivate_user"): TypeError,
    ("scim", "set_user_active"): TypeError,
    ("scim", "update_display_name"): TypeError,
    ("production", "reserve_serial_numbers"): TypeError,
    ("rootcause", "upload_attachment"): TypeError,
    # The repository defines the method twice, the second time with other parameters.
    ("software", "get_revoked_packages"): TypeError,
    # They name members that the SDK's AssetState does not have.
    ("asset", "get_assets_in_alarm"): AttributeError,
    ("asset", "get_assets_in_warning"): AttributeError,
    # They need a manifest, which only the constructor of the service takes.
    ("software", "install"): RuntimeError,
    ("software", "install_many"): RuntimeError,
}
"""Calls that fail in the SDK itself before anything is sent, and with what."""

WITHOUT_RESULT = frozenset(
    {
        ("manual_inspection", "delete_sequence"),
        ("process", "clear_cache"),
        ("process", "refresh"),
        ("scim", "delete_user"),
        # No manifest is given.
        ("software", "check_for_updates"),
        ("software", "cleanup_revoked"),
        ("software", "get_available_packages"),
    }
)
"""Calls that return None or nothing; all others return something true here."""


def _service_class(domain: str) -> type:
    module = importlib.import_module(f"pywats.domains.{domain}.async_service")
    return next(
        member
        for name, member in vars(module).items()
        if inspect.isclass(member) and member.__module__ == module.__name__ and name.endswith("Service")
    )


def service_methods() -> list[tuple[str, str]]:
    """Return (domain, name) of every public coroutine method of every service: 313 in pywats-api 0.6.0rc1."""
    return [
        (domain, name)
        for domain in DOMAINS
        for name, _ in inspect.getmembers(_service_class(domain), inspect.iscoroutinefunction)
        if not name.startswith("_")
    ]


def service(api: Any, domain: str) -> Any:
    """Return the service of a pyWATS or an AsyncWATS, which has no property for manual inspection."""
    if hasattr(type(api), domain):
        return getattr(api, domain)
    repositories = importlib.import_module(f"pywats.domains.{domain}.async_repository")
    repository = next(member for name, member in vars(repositories).items() if name.endswith("InspectionRepository"))
    return _service_class(domain)(repository(api.http_client))


def arguments(domain: str, name: str, server: SimulatedWATS) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and keyword arguments with which the call succeeds on this server now."""
    special = BY_METHOD.get((domain, name)) or BY_METHOD.get(("*", name))
    given = special(server) if special else {}
    method = getattr(_service_class(domain), name)
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        required = parameter.default is inspect.Parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if required and parameter.name not in given:
            make = BY_NAME.get((domain, parameter.name)) or BY_NAME.get(("*", parameter.name))
            assert make is not None, f"{domain}.{name} needs an argument for {parameter.name!r} in sdk_arguments.py"
            given[parameter.name] = make(server)
    return (), given
