"""Tickets of the root cause module and their files."""

from __future__ import annotations

import re
from typing import Any

from .call import Call, Json, Refused, Reply, Route, found, live, picked, read, write
from .state import WATSState

OPEN, ARCHIVED = 1, 32


def add_ticket(state: WATSState, subject: str, owner: str, **fields: Any) -> Json:
    """Add an open ticket."""
    now = state.now()
    ticket: Json = {
        "ticketId": state.new_id(),
        "ticketNumber": len(state.tickets) + 1,
        "progress": "",
        "owner": owner,
        "assignee": owner,
        "subject": subject,
        "status": OPEN,
        "priority": 1,
        "createdUtc": now,
        "updatedUtc": now,
        "team": "",
        "origin": "",
        "tags": [],
        "history": [],
    }
    _change(state, ticket, owner, fields)
    state.tickets[ticket["ticketId"]] = ticket
    return ticket


def _change(state: WATSState, ticket: Json, user: str, fields: Json) -> None:
    kept = ("ticketId", "ticketNumber", "createdUtc", "history", "update")
    ticket.update({key: value for key, value in fields.items() if key not in kept and value is not None})
    ticket["updatedUtc"] = state.now()
    update = fields.get("update")
    if update:
        entry = {"updateId": state.new_id(), "updateUtc": ticket["updatedUtc"], "updateUser": user, "updateType": 0}
        ticket["history"].append({**entry, **{key: value for key, value in update.items() if value is not None}})


def _ticket(call: Call, ticket_id: str) -> Json:
    ticket: Json = found(call.state.tickets.get(ticket_id.casefold()), f"ticket {ticket_id!r}")
    return ticket


def get_ticket(call: Call) -> Any:
    return _ticket(call, call.query("ticketId"))


def get_tickets(call: Call) -> Any:
    """`status` is a sum of flags; the view 0 is what is assigned to the user, others are all tickets."""
    status, text = call.number("status", 63), call.query("searchString").casefold()
    return [
        ticket
        for ticket in call.state.tickets.values()
        if int(ticket["status"]) & status
        and (call.query("view") != "0" or ticket["assignee"] == call.user)
        and text in str(ticket["subject"]).casefold()
    ]


def create_ticket(call: Call) -> Any:
    fields = call.object()
    subject = str(picked(fields, "subject") or "")
    if not subject:
        raise Refused(400, "subject is required")
    return add_ticket(call.state, subject, call.user, **{key: fields[key] for key in fields if key != "subject"})


def update_ticket(call: Call) -> Any:
    fields = call.object()
    ticket = _ticket(call, str(picked(fields, "ticketId") or ""))
    _change(call.state, ticket, call.user, fields)
    return ticket


def archive_tickets(call: Call) -> Any:
    ids = call.json()
    if not isinstance(ids, list) or not ids:
        raise Refused(400, "the body must be a list of ticket ids")
    tickets = [_ticket(call, str(one)) for one in ids]
    for ticket in tickets:
        _change(call.state, ticket, call.user, {"status": ARCHIVED})
    return tickets[-1]


def get_attachment(call: Call) -> Any:
    """Return the file that was uploaded; every ticket has one under its own id that the server made."""
    wanted = call.query("attachmentId").casefold()
    content = call.state.ticket_files.get(wanted)
    if content is None:
        content = f"notes on {_ticket(call, wanted)['subject']}\n{call.stamp}\n".encode()
    return Reply(content, content_type="application/octet-stream")


def post_attachment(call: Call) -> Any:
    attachment_id = call.state.new_id()
    call.state.ticket_files[attachment_id] = _file_of_form(call.body)
    return attachment_id


def _file_of_form(body: bytes) -> bytes:
    """Return the content of the first part of a multipart form, or the body when it is no form."""
    boundary = re.match(rb"(--[^\r\n]+)\r\n", body)
    if boundary is None:
        return body
    part = body.split(boundary[1])[1]
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


ROUTES: tuple[Route, ...] = (
    live("GET", "/api/RootCause/Ticket", get_ticket),
    read("GET", "/api/RootCause/Tickets", get_tickets, "ticket"),
    read("GET", "/api/RootCause/Attachment", get_attachment, "ticket"),
    write("POST", "/api/RootCause/Ticket", create_ticket, "ticket"),
    write("PUT", "/api/RootCause/Ticket", update_ticket, "ticket"),
    write("POST", "/api/RootCause/ArchiveTickets", archive_tickets, "ticket"),
    write("POST", "/api/RootCause/Attachment", post_attachment, "ticket"),
)
