"""Real processes over one shared store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sharing_world
from restart_world import Away
from sharing_world import Registers, Worker, be_patient, servers_found, start_valkey


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch.setattr)


@pytest.fixture
def registers() -> Iterator[Registers]:
    server = Registers()
    yield server
    server.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/shared.db"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "program" in metafunc.fixturenames:
        metafunc.parametrize("program", servers_found(), indirect=True, scope="module")


@pytest.fixture(scope="module")
def program(request: pytest.FixtureRequest) -> Iterator[str]:
    """The server that `start_valkey` starts: each that is here, one after the other; Valkey where it is found late."""
    name = getattr(request, "param", "valkey")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing_world, "PROGRAM", servers_found()[name])
        yield name


@pytest.fixture(scope="module")
def valkey(program: str) -> Iterator[str]:
    server = start_valkey()
    yield f"redis://127.0.0.1:{server.port}/0"
    server.stop()


@pytest.fixture
def server() -> Iterator[Away]:
    server = Away()
    yield server
    server.close()


@pytest.fixture
def start(registers: Registers) -> Iterator[Callable[..., Worker]]:
    """Starts a process: `start(storage_url, *mutants)`."""
    workers: list[Worker] = []

    def start(storage: str, *mutants: str) -> Worker:
        workers.append(Worker(storage, registers.url, "patient", *mutants))
        return workers[-1].ready()

    yield start
    for worker in workers:
        worker.close()
