"""Lists that change seldom: processes, repair operations, levels, sites, unit phases, version."""

from __future__ import annotations

from typing import Any

from .call import Call, Json, Route, found, live, read


def get_version(call: Call) -> Any:
    return "2026.1.0.simulated"


def connected(call: Call) -> Any:
    return True


def get_processes(call: Call) -> Any:
    """Without parameters all processes; with them those of the kinds asked for."""
    kinds = {
        "isTestOperation": call.query("includeTestOperations"),
        "isRepairOperation": call.query("includeRepairOperations"),
        "isWipOperation": call.query("includeWipOperations"),
    }
    unwanted = [name for name, value in kinds.items() if value.casefold() == "false"]
    wanted = [name for name, value in kinds.items() if value.casefold() == "true"]
    chosen = [one for one in call.state.processes if not any(one[name] for name in unwanted)]
    if wanted:
        chosen = [one for one in chosen if any(one[name] for name in wanted)]
    return chosen


def _detailed(process: Json) -> Json:
    return {
        "ProcessID": process["ProcessID"],
        "Code": process["code"],
        "Name": process["name"],
        "Description": process["description"],
        "ProcessIndex": process["processIndex"],
        "State": process["state"],
        "Properties": None,
        "IsTestOperation": process["isTestOperation"],
        "IsRepairOperation": process["isRepairOperation"],
        "IsWIPOperation": process["isWipOperation"],
    }


def get_processes_detailed(call: Call) -> Any:
    return [_detailed(process) for process in call.state.processes]


def _process(call: Call) -> Json:
    wanted = call.params["process_id"].casefold()
    process = next((one for one in call.state.processes if wanted in (one["ProcessID"], str(one["code"]))), None)
    checked: Json = found(process, f"process {wanted!r}")
    return checked


def get_process(call: Call) -> Any:
    return _detailed(_process(call))


def get_repair_operations(call: Call) -> Any:
    return call.state.repair_operations


def get_repair_operation(call: Call) -> Any:
    code = call.query("processCode") or str(_process(call)["code"])
    return found(call.state.repair_operations.get(code), f"repair operation {code}")


def get_levels(call: Call) -> Any:
    return call.state.levels


def get_sites(call: Call) -> Any:
    return call.state.sites


def get_phases(call: Call) -> Any:
    return call.state.phases


ROUTES: tuple[Route, ...] = (
    live("GET", "/api/App/Version", get_version),
    live("GET", "/api/internal/Production/isConnected", connected),
    live("GET", "/api/internal/Software/isConnected", connected),
    read("GET", "/api/App/Processes", get_processes, "process"),
    read("GET", "/api/internal/Process/GetProcesses", get_processes_detailed, "process"),
    read("GET", "/api/internal/Process/GetProcess/{process_id}", get_process, "process"),
    read("GET", "/api/internal/Process/GetRepairOperations", get_repair_operations, "process"),
    read("GET", "/api/internal/Process/GetRepairOperation/{process_id}", get_repair_operation, "process"),
    read("GET", "/api/App/Levels", get_levels, "level"),
    read("GET", "/api/internal/Production/GetSites", get_sites, "site"),
    read("GET", "/api/internal/Mes/GetUnitPhases", get_phases, "phase"),
)
