"""SCIM: the directory of users. It is data only: deleting a user here does not take his credentials away."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from .call import Call, Json, Refused, Reply, Route, found, live, picked
from .state import WATSState, fold

_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


def add_user(state: WATSState, name: str, **fields: Any) -> Json:
    """Add a user to the directory."""
    user: Json = {
        "id": state.new_id(),
        "userName": name,
        "displayName": name.title(),
        "active": True,
        "schemas": [_SCHEMA],
        **fields,
    }
    state.scim_users[user["id"]] = user
    return user


def get_token(call: Call) -> Any:
    """Make a new token; it opens nothing here."""
    call.state.scim_tokens += 1
    days = call.number("duration", 90)
    expires = (datetime.now(timezone.utc) + timedelta(days=days)).isoformat()
    return {"token": f"simulated-{call.state.scim_tokens}", "expiresUtc": expires, "durationDays": days}


def get_users(call: Call) -> Any:
    start = max(call.number("startIndex", 1), 1)
    users = list(call.state.scim_users.values())
    page = users[start - 1 :][: call.number("count", len(users))]
    return {
        "totalResults": len(users),
        "itemsPerPage": len(page),
        "startIndex": start,
        "Resources": page,
        "schemas": [_LIST],
    }


def _user(call: Call) -> Json:
    user_id = call.params["user_id"]
    user: Json = found(call.state.scim_users.get(user_id.casefold()), f"user {user_id!r}")
    return user


def get_user(call: Call) -> Any:
    return _user(call)


def get_user_by_name(call: Call) -> Any:
    name = call.params["username"]
    users = call.state.scim_users.values()
    return found(next((one for one in users if fold(one["userName"]) == fold(name)), None), f"user {name!r}")


def create_user(call: Call) -> Any:
    fields = call.object()
    name = str(picked(fields, "userName") or "")
    if not name:
        raise Refused(400, "userName is required")
    return add_user(call.state, name, **{key: fields[key] for key in fields if key not in ("id", "userName")})


def update_user(call: Call) -> Any:
    user = _user(call)
    for operation in picked(call.object(), "Operations") or ():
        path, value = str(operation.get("path") or ""), operation.get("value")
        if str(operation.get("op")).casefold() == "remove":
            user.pop(path, None)
        elif path:
            user[path] = value
        elif isinstance(value, dict):
            user.update(value)
    return user


def delete_user(call: Call) -> Any:
    del call.state.scim_users[_user(call)["id"]]
    return Reply(status=204)


ROUTES: tuple[Route, ...] = (
    live("GET", "/api/SCIM/v2/Token", get_token),
    live("GET", "/api/SCIM/v2/Users", get_users),
    live("GET", "/api/SCIM/v2/Users/userName={username}", get_user_by_name),
    live("GET", "/api/SCIM/v2/Users/{user_id}", get_user),
    live("POST", "/api/SCIM/v2/Users", create_user),
    live("PATCH", "/api/SCIM/v2/Users/{user_id}", update_user),
    live("DELETE", "/api/SCIM/v2/Users/{user_id}", delete_user),
)
