"""One SQLite file under several clients, each as another process would be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from shared_clients import TOKEN, Make

from pywats_cache import Controller, Read, SharedStorage, Write
from pywats_cache.storage.shared import coherence as shared_coherence
from pywats_cache.storage.sqlite import records as sqlite_records


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that failed is asked again at once."""
    monkeypatch.setattr(shared_coherence, "RETRY", 0.0)
    monkeypatch.setattr(sqlite_records, "PAUSE", 0.0)


@pytest.fixture
def written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has each response before its caller does."""
    save = SharedStorage.save

    def saved(storage: SharedStorage, *arguments: Any) -> None:
        save(storage, *arguments)
        storage.flush()

    monkeypatch.setattr(SharedStorage, "save", saved)


@pytest.fixture
def told() -> list[str]:
    """What was said of files set aside."""
    return []


@pytest.fixture
def store(tmp_path: Path, no_waiting: None) -> Iterator[Make]:
    """Makes a storage on the same file, as another process does."""
    made: list[SharedStorage] = []

    def make(**options: Any) -> SharedStorage:
        made.append(SharedStorage(tmp_path / "c.db", **options))
        return made[-1]

    yield make
    for storage in made:
        storage.close()


@pytest.fixture
def process(lib: SimpleNamespace, origin: Any, store: Make) -> Iterator[Make]:
    """Makes a client with a storage of its own on the same file."""
    clients: list[Any] = []

    def make(controller: Controller | None = None, storage: Any = None, **options: Any) -> Any:
        transport = lib.CacheTransport(
            origin.transport,
            controller=controller or Controller([Read("/tagged", tags=("t",)), Write("/w", dirties=("t",))]),
            storage=storage or store(**options),
        )
        client = lib.http.Client(transport=transport, base_url="http://origin", headers={"Authorization": TOKEN})
        client.cache = transport
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()
