"""What the benchmarks export is read by pyperf itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyperf
import pytest

ROOT = Path(__file__).resolve().parents[2]


def pyperf_says(*arguments: str) -> str:
    command = [sys.executable, "-m", "pyperf", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The same two comparisons of two runs, in the second of which ours took twice as long."""
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import harness, pyperf_export, report

    made = []
    for times in (1, 2):
        hits = harness.Samples(
            {"ours": [2.0e-6 * times, 2.1e-6 * times, 2.2e-6 * times], "floor": [1e-6, 1.1e-6, 1e-6]}
        )
        misses = harness.Samples({"ours": [9e-6, 8e-6], "floor": [7e-6, 8e-6]})
        rows = [harness.compare("a hit", hits, "ours", "floor"), harness.compare("a hit", hits, "floor", "ours")]
        rows += [harness.compare("a miss", misses, "ours", "floor"), harness.Row("memory", "1 KB")]
        made.append(tmp_path / f"{times}.json")
        assert pyperf_export.export(rows, report.about("python -m benchmarks"), made[-1]) == 4
    return made


def test_pyperf_reads_each_case_with_its_rounds(files: list[Path]) -> None:
    suite = pyperf.BenchmarkSuite.load(str(files[0]))
    assert suite.get_benchmark_names() == ["a hit: ours", "a hit: floor", "a miss: ours", "a miss: floor"]
    benchmark = suite.get_benchmark("a hit: ours")
    assert benchmark.get_values() == (2.0e-6, 2.1e-6, 2.2e-6)
    assert benchmark.get_unit() == "second"
    assert benchmark.get_metadata()["description"] == "python -m benchmarks"


def test_its_commands_work_on_the_file(files: list[Path]) -> None:
    assert "Total number of values: 3" in pyperf_says("stats", str(files[0]))
    compared = pyperf_says("compare_to", *map(str, files))
    assert "a hit: ours" in compared
    assert "2.00x slower" in compared


def test_the_rounds_are_not_in_the_results_that_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import harness, report

    row = harness.Row("a hit", "2 µs", rounds={"ours": [1e-6]})
    files = report.write([row], {**report.about("python -m benchmarks"), "seconds": 1}, tmp_path)
    (written,) = [path for path in files if path.suffix == ".json"]
    assert json.loads(written.read_text("utf-8"))["rows"][0]["rounds"] == {}
