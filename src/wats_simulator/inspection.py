"""Manual inspection: definitions with their versions and status, relations to products, running sequences."""

from __future__ import annotations

import html
from typing import Any

from .call import Call, Json, Refused, Reply, Route, found, live, picked, read, write
from .report import DIRTIES
from .state import WATSState, fold

DRAFT, PENDING, RELEASED, REVOKED = range(4)


def add_definition(state: WATSState, name: str, user: str, **fields: Any) -> Json:
    """Add the next version of the definition with this name, as a draft."""
    versions = [one["Version"] for one in state.definitions.values() if fold(one["Name"]) == fold(name)]
    definition: Json = {
        "TestSequenceDefinitionId": state.new_id(),
        "Name": name,
        "Description": "",
        "Created": state.now(),
        "CreatedBy": user,
        "Status": DRAFT,
        "IsGlobal": False,
        "XAML": f"<Sequence Name='{html.escape(name)}'/>",
        **fields,
        "Version": max(versions, default=0) + 1,
    }
    state.definitions[definition["TestSequenceDefinitionId"]] = definition
    return definition


def add_relation(state: WATSState, definition_id: str, part_number: str, **fields: Any) -> Json:
    """Say that the definition serves a part number."""
    relation: Json = {
        "TestSequenceRelationId": state.new_id(),
        "TestSequenceDefinitionId": definition_id,
        "EntitySchema": "Product",
        "EntityName": "Product",
        "EntityKey": "PartNumber",
        "EntityValue": part_number,
        "Status": 1,
        **fields,
    }
    state.definition_relations[relation["TestSequenceRelationId"]] = relation
    return relation


def _definition(call: Call, definition_id: str) -> Json:
    what = f"definition {definition_id!r}"
    definition: Json = found(call.state.definitions.get(definition_id.casefold()), what)
    return definition


def _given(call: Call) -> Json:
    return _definition(call, call.params.get("definition_id") or call.query("definitionId"))


def get_definitions(call: Call) -> Any:
    wanted = call.flag("isGlobalDefinitions")
    return [one for one in call.state.definitions.values() if bool(one["IsGlobal"]) == wanted]


def get_definition(call: Call) -> Any:
    definition = _given(call)
    return {**definition, "Relations": _relations(call, definition["TestSequenceDefinitionId"])}


def copy_definition(call: Call) -> Any:
    """Make a draft with the next version. It is a GET, and it writes."""
    original = _given(call)
    kept = {key: original[key] for key in original if key not in ("TestSequenceDefinitionId", "Name", "Version")}
    fresh = {"Status": DRAFT, "Created": call.state.now(), "CreatedBy": call.user}
    return add_definition(call.state, original["Name"], call.user, **{**kept, **fresh})


def post_definition(call: Call) -> Any:
    fields = call.object()
    name = str(picked(fields, "Name") or "")
    if not name:
        raise Refused(400, "Name is required")
    kept = {key: fields[key] for key in fields if key not in ("TestSequenceDefinitionId", "Name", "Version")}
    return add_definition(call.state, name, call.user, **kept)


def put_definition(call: Call) -> Any:
    fields = call.object()
    definition = _definition(call, str(picked(fields, "TestSequenceDefinitionId") or ""))
    if fields.get("Status") == RELEASED:  # releasing one version revokes the one before
        for other in call.state.definitions.values():
            if other["Name"] == definition["Name"] and other["Status"] == RELEASED and other is not definition:
                other.update(Status=REVOKED, Revoked=call.state.now(), RevokedBy=call.user)
    definition.update(fields, Modified=call.state.now(), ModifiedBy=call.user)
    return definition


def get_xaml(call: Call) -> Any:
    return {"TestSequenceDefinitionId": _given(call)["TestSequenceDefinitionId"], "XAML": _given(call)["XAML"]}


def put_xaml(call: Call) -> Any:
    fields = call.object()
    wanted = picked(fields, "TestSequenceDefinitionId", "definitionId")
    definition = _definition(call, str(wanted or ""))
    definition.update(XAML=str(picked(fields, "XAML") or ""), Modified=call.state.now(), ModifiedBy=call.user)
    return definition


def get_wwf(call: Call) -> Any:
    definition = _given(call)
    return {"name": definition["Name"], "content": definition["XAML"]}


# Relations.


def _relations(call: Call, definition_id: str) -> list[Json]:
    rows = call.state.definition_relations.values()
    return [row for row in rows if row["TestSequenceDefinitionId"] == definition_id]


def get_relations(call: Call) -> Any:
    return _relations(call, _given(call)["TestSequenceDefinitionId"])


def get_conflicts(call: Call) -> Any:
    own = _given(call)["TestSequenceDefinitionId"]
    served = {row["EntityValue"] for row in _relations(call, own)}
    return [
        {**row, "Name": call.state.definitions[row["TestSequenceDefinitionId"]]["Name"]}
        for row in call.state.definition_relations.values()
        if row["TestSequenceDefinitionId"] != own and row["EntityValue"] in served
    ]


def post_relation(call: Call) -> Any:
    fields = call.object()
    definition = _definition(call, str(picked(fields, "TestSequenceDefinitionId") or ""))
    kept = {key: fields[key] for key in fields if key not in ("TestSequenceRelationId", "TestSequenceDefinitionId")}
    return add_relation(call.state, definition["TestSequenceDefinitionId"], str(kept.get("EntityValue") or ""), **kept)


def _relation(call: Call, fields: Json) -> Json:
    relation_id = str(picked(fields, "TestSequenceRelationId") or "")
    what = f"relation {relation_id!r}"
    relation: Json = found(call.state.definition_relations.get(relation_id.casefold()), what)
    return relation


def put_relation(call: Call) -> Any:
    fields = call.object()
    relation = _relation(call, fields)
    relation.update(fields)
    return relation


def delete_relation(call: Call) -> Any:
    relation = _relation(call, call.object())
    return call.state.definition_relations.pop(relation["TestSequenceRelationId"])


# Sequences that are being run on a unit.


def get_sequences(call: Call) -> Any:
    released = [one for one in call.state.definitions.values() if one["Status"] == RELEASED]
    return [{name: one[name] for name in ("TestSequenceDefinitionId", "Name", "Version", "Status")} for one in released]


def put_sequence(call: Call) -> Any:
    fields = call.object()
    sequence_id = str(picked(fields, "TestSequenceInstanceId") or call.state.new_id())
    sequence = call.state.inspections.setdefault(sequence_id, {"Created": call.state.now()})
    sequence.update(fields, TestSequenceInstanceId=sequence_id, LastEventTime=call.state.now())
    return sequence


def put_string_test(call: Call) -> Any:
    return put_sequence(call)


def delete_sequence(call: Call) -> Any:
    """Delete a running sequence, or a definition, by its id."""
    wanted = call.params["sequence_id"].casefold()
    if call.state.inspections.pop(wanted, None) is None:
        found(call.state.definitions.pop(wanted, None), f"sequence {wanted!r}")
        for row in _relations(call, wanted):
            del call.state.definition_relations[row["TestSequenceRelationId"]]
    return Reply(status=204)


def count_instances(call: Call) -> Any:
    own = _given(call)["TestSequenceDefinitionId"]
    return sum(one.get("TestSequenceDefinitionId") == own for one in call.state.inspections.values())


def get_details(call: Call) -> Any:
    unit_id = call.params["unit_id"]
    running = call.state.inspections.values()
    known = next((one for one in running if str(one.get("UnitId")).casefold() == unit_id.casefold()), None)
    return known or {"UnitId": unit_id, "SerialNumber": "SN-1000", "PartNumber": "PN-1000", "Revision": "A"}


def validate_misc_info(call: Call) -> Any:
    call.object()
    return {"valid": True}


_BASE = "/api/internal/ManualInspection"
_TAG = "manual-inspection"

ROUTES: tuple[Route, ...] = (
    read("GET", f"{_BASE}/GetTestSequenceDefinitions", get_definitions, _TAG),
    read("GET", f"{_BASE}/GetTestSequenceDefinition", get_definition, _TAG),
    read("GET", f"{_BASE}/GetWatswwfContent/{{definition_id}}", get_wwf, _TAG),
    read("GET", f"{_BASE}/GetRelations/{{definition_id}}", get_relations, _TAG),
    read("GET", f"{_BASE}/GetSequences", get_sequences, _TAG),
    live("GET", f"{_BASE}/GetTestSequenceDefinitionXaml", get_xaml),
    live("GET", f"{_BASE}/GetInstancesCount/{{definition_id}}", count_instances),
    live("GET", f"{_BASE}/GetMiDetails/{{unit_id}}", get_details),
    live("GET", f"{_BASE}/GetMiDetailsNew/{{unit_id}}", get_details),
    live("GET", f"{_BASE}/GetRelationConflicts/{{definition_id}}", get_conflicts),
    live("GET", f"{_BASE}/GetRelationConflictsNew/{{definition_id}}", get_conflicts),
    live("PUT", f"{_BASE}/ValidateMiscInfo", validate_misc_info),
    write("GET", f"{_BASE}/GetDefinitionCopy/{{definition_id}}", copy_definition, _TAG),
    write("POST", f"{_BASE}/PostDefinition", post_definition, _TAG),
    write("PUT", f"{_BASE}/PutDefinitionNew", put_definition, _TAG),
    write("PUT", f"{_BASE}/PutTestSequenceDefinitionXaml", put_xaml, _TAG),
    write("POST", f"{_BASE}/PostRelation", post_relation, _TAG),
    write("PUT", f"{_BASE}/PutRelation", put_relation, _TAG),
    write("PUT", f"{_BASE}/DeleteRelationNew", delete_relation, _TAG),
    write("PUT", f"{_BASE}/PutSequence", put_sequence, _TAG, *DIRTIES),
    write("PUT", f"{_BASE}/PutStringTest", put_string_test, _TAG),
    write("DELETE", f"{_BASE}/DeleteSequence/{{sequence_id}}", delete_sequence, _TAG),
)
