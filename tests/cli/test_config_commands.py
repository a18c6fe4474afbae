"""`pywats-cache config`: the file of a station is shown, checked and set, and what is wrong with it is said."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")
pytest.importorskip("uvicorn")
pytest.importorskip("pywats")
from typer.testing import CliRunner, Result

from pywats_cache.cli.app import app
from pywats_cache.wats.service.fields import FIELDS

SAMPLE = files("pywats_cache.wats.service").joinpath("sample.json").read_text("utf-8")
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    document = {**json.loads(SAMPLE), "api_token": "c2VjcmV0-token", "of_a_newer_version": 1}
    path.write_text(json.dumps(document), "utf-8")
    return path


def run(*arguments: str, code: int = 0, text: str = "") -> Result:
    result = CliRunner().invoke(app, ["config", *arguments], input=text)
    assert result.exit_code == code, result.output
    assert "c2VjcmV0-token" not in result.output
    assert "hunter2" not in result.output
    return result


def document(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def said(result: Result) -> str:
    return " ".join(result.output.split())


def test_the_sample_is_printed_or_written_and_right(tmp_path: Path) -> None:
    assert json.loads(run("sample").stdout) == json.loads(SAMPLE)
    to = tmp_path / "new.json"
    run("sample", "--to", str(to))
    assert to.read_text("utf-8") == SAMPLE
    assert said(run("check", "--config", str(to))) == "nothing is wrong"
    assert "is there already" in said(run("sample", "--to", str(to), code=4))
    shown = json.loads(run("show", "--config", str(to), "--json").stdout)
    assert [field["name"] for field in shown["fields"]] == [field.name for field in FIELDS]
    assert [field["shown"] for field in shown["fields"]] == [field["default"] for field in shown["fields"]]


def test_the_sample_of_the_docs_is_the_one_that_is_written() -> None:
    assert (DOCS / "reference" / "station.json").read_text("utf-8") == SAMPLE


def test_the_sample_says_of_each_field_of_ours_what_the_field_says() -> None:
    sample = json.loads(SAMPLE)
    for field in FIELDS:
        assert sample[field.name] == field.default
        assert sample[f"// {field.name}"].startswith(field.what)
        assert field.allowed[1:] in sample[f"// {field.name}"]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("enable_cache", "false", False),
        ("enable_cache", "On", True),
        ("cache_ttl_seconds", "60", 60),
        ("cache_ttl_seconds", "0.5", 0.5),
        ("cache_ttl_seconds", "inf", float("inf")),
        ("cache_max_size", "5", 5),
        ("cache_storage_url", "sqlite:////var/lib/c.db?max_bytes=5", "sqlite:////var/lib/c.db?max_bytes=5"),
        ("cache_storage_url", "memory://", "memory://"),
        ("cache_offline", "only", "only"),
        ("web_hosts", "a.example, b.example", ["a.example", "b.example"]),
        ("web_hosts", "", []),
        ("web_prefix", "/station7", "/station7"),
    ],
)
def test_a_field_is_set_and_nothing_else(path: Path, name: str, text: str, value: Any) -> None:
    before = document(path)
    run("set", name, text, "--config", str(path))
    assert document(path) == {**before, name: value}
    if value != before[name]:
        assert document(path.with_name("config.json.bak")) == before
    assert "already" in run("set", name, text, "--config", str(path)).output


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("enable_cache", "maybe", "enable_cache must be True or False, not 'maybe'"),
        ("cache_ttl_seconds", "abc", "must be a number of seconds"),
        ("cache_ttl_seconds", "-5", "must be a number of seconds >= 0"),
        ("cache_ttl_seconds", "nan", "must be a number of seconds"),
        ("cache_max_size", "0", "must be a whole number >= 1"),
        ("cache_max_size", "2.5", "must be a whole number >= 1"),
        ("cache_max_size", "9" * 400, "must be a whole number >= 1"),
        ("cache_offline", "always", "'auto'"),
        ("cache_storage_url", "redis://:hunter2@/0", "must name a host"),
        ("cache_storage_url", "hunter2@host", "must be 'memory://'"),
        ("web_hosts", "a.example:80", "without a port"),
        ("web_prefix", "station7", "such as /station7"),
        ("api_token", "hunter2://x", "the field must be one of enable_cache, "),
    ],
)
def test_a_value_that_is_not_allowed_is_named_and_nothing_is_written(
    path: Path, name: str, text: str, says: str
) -> None:
    before = path.read_bytes()
    assert says in said(run("set", name, text, "--config", str(path), code=2))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["config.json"]


def test_a_password_is_asked_for_and_shown_nowhere(path: Path) -> None:
    run("set", "cache_storage_url", "-", "--config", str(path), text="redis://u:hunter2@h:6379/0\n")
    assert document(path)["cache_storage_url"] == "redis://u:hunter2@h:6379/0"
    run("set", "cache_max_size", "5", "--config", str(path))
    for arguments in (("show",), ("show", "--json"), ("check",)):
        run(*arguments, "--config", str(path))
    assert "redis://h:6379/0" in run("show", "--config", str(path), "--json").output
    run("set", "cache_storage_url", "redis://h?password=hunter2", "--config", str(path))
    run("show", "--config", str(path), "--json")


def test_what_is_wrong_is_found(path: Path) -> None:
    bad = {**document(path), "cache_ttl_seconds": "abc", "cache_storage_url": "redis://:hunter2@/0"}
    path.write_text(json.dumps(bad), "utf-8")
    found = json.loads(run("check", "--config", str(path), "--json", code=1).stdout)["findings"]
    assert [each.split()[0] for each in found] == ["cache_ttl_seconds", "cache_storage_url"]
    shown = json.loads(run("show", "--config", str(path), "--json").stdout)["fields"]
    assert (
        "must be a number of seconds" in next(each for each in shown if each["name"] == "cache_ttl_seconds")["problem"]
    )
    assert "still wrong: cache_storage_url" in said(run("set", "cache_ttl_seconds", "60", "--config", str(path)))
    path.write_text('{"cache_max_size": 5, "cache_max_size": 6}', "utf-8")
    assert "cache_max_size is there twice" in run("check", "--config", str(path), code=1).output
    assert "twice: remove one" in said(run("set", "cache_ttl_seconds", "60", "--config", str(path), code=4))


@pytest.mark.parametrize("arguments", [("show",), ("check",), ("set", "cache_ttl_seconds", "60")])
def test_a_file_that_cannot_be_used_is_left_alone_and_the_error_says_what_to_do(
    path: Path, arguments: tuple[str, ...]
) -> None:
    path.write_text('{"api_token": "c2VjcmV0-token", half', "utf-8")
    result = said(run(*arguments, "--config", str(path), code=4))
    assert "is no JSON (line 1, column" in result
    assert "Mend it" in result
    assert path.read_text("utf-8") == '{"api_token": "c2VjcmV0-token", half'
    none = str(path.with_name("none.json"))
    assert "config sample --to FILE" in said(run(*arguments, "--config", none, code=3))
