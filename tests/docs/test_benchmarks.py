"""The benchmark suite: what it measures are pyperf's runs, of several processes, in which the cases take turns."""

from __future__ import annotations

import platform
import socket
import subprocess
import sys
import time
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pyperf
import pytest

from benchmarks import harness, processes, regression, report
from benchmarks.harness import Case, Options, Row
from benchmarks.recording import Measured, Recording

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = sorted(report.RESULTS.glob("*.json"))


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=ROOT).stdout


def told(seconds: float = 1, command: str = "python -m benchmarks") -> dict[str, Any]:
    return {**report.about(command), "seconds": seconds}


def slow(calls: list[str], name: str, seconds: float) -> Case:
    """A case that says it took so many seconds per operation, and notes when it was run."""

    def run(n: int) -> float:
        calls.append(name)
        return n * seconds

    return Case(run, time.process_time)


# ── one comparison ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [2, 3, 5])
def test_each_case_begins_as_often_and_precedes_each_other_as_often(count: int) -> None:
    names = [f"case {n}" for n in range(count)]
    rounds = list(harness.orders(names, 2 * count))
    assert all(sorted(order) == names for order in rounds)
    assert Counter(order[0] for order in rounds) == dict.fromkeys(names, 2)
    for one, other in combinations(names, 2):
        assert sum(order.index(one) < order.index(other) for order in rounds) == count


def test_cases_take_turns_after_a_round_that_does_not_count() -> None:
    calls: list[str] = []
    cases = {"ours": slow(calls, "ours", 0.01), "floor": slow(calls, "floor", 0.005)}
    samples = harness.interleave(Options(), "a hit", cases, rounds=4)
    assert calls[-10:] == [name for order in harness.orders(["ours", "floor"], 5) for name in order]
    assert samples.values("ours") == (0.01,) * 4
    assert samples.ratio("ours", "floor") == 2.0


def test_a_run_has_loops_warmups_and_the_clock_of_its_case() -> None:
    samples = harness.interleave(Options(), "a hit", {"ours": slow([], "", 1e-4)}, rounds=3, round_seconds=0.006)
    (of,) = samples.benchmarks["ours"].get_runs()
    assert samples.benchmarks["ours"].get_name() == "a hit: ours"
    assert of.get_loops() == 60
    assert of.warmups == ((1, 1e-4), (1, 1e-4), (4, 1e-4), (16, 1e-4), (60, 1e-4))
    known = of.get_metadata()
    assert known["timer"].startswith(time.get_clock_info("process_time").implementation)
    assert known["python_version"].startswith(platform.python_version())
    assert {"date", "perf_version", "platform", "mem_max_rss"} <= known.keys() or sys.platform == "win32"


def test_processes_share_the_rounds() -> None:
    assert [Options(processes=count).share(161) for count in (1, 3, 161, 200)] == [161, 54, 1, 1]


# ── several processes ────────────────────────────────────────────────────────────────────────────────────────────────


def record(path: Path, ours: list[float], floor: list[float], title: str = "a hit") -> harness.Samples:
    """What one process does."""
    recording = Recording(path)
    samples = recording.add(title, {"ours": Measured(ours), "floor": Measured(floor)})
    recording.save()
    return samples


def test_a_process_adds_its_runs_to_those_before_it(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    record(path, [2.0, 2.0], [1.0, 1.0])
    record(path, [3.0, 3.0], [1.0, 1.0])
    samples = record(path, [5.0, 7.0], [1.0, 2.0])
    assert samples.values("ours") == (2.0, 2.0, 3.0, 3.0, 5.0, 7.0)
    assert samples.ratios("ours", "floor") == [2.0, 2.0, 3.0, 3.0, 5.0, 3.5]
    assert samples.ratio_of_each_process("ours", "floor") == [2.0, 3.0, 4.25]
    benchmark = pyperf.BenchmarkSuite.load(str(path)).get_benchmark("a hit: ours")
    assert [of.values for of in benchmark.get_runs()] == [(2.0, 2.0), (3.0, 3.0), (5.0, 7.0)]


def test_what_differs_between_processes_is_noise(tmp_path: Path) -> None:
    record(tmp_path / "runs", [2.0] * 9, [1.0] * 9)
    found = harness.ratio_figure(record(tmp_path / "runs", [2.5], [1.0]), "ours", "floor")
    assert found == {"value": 2.0, "low": 2.0, "high": 2.5, "against": "floor", "processes": [2.0, 2.5]}


def test_nothing_is_measured_twice_or_only_sometimes(tmp_path: Path) -> None:
    recording = Recording()
    recording.add("a hit", {"ours": Measured([1.0])})
    with pytest.raises(ValueError, match="a hit: ours"):
        recording.add("a hit", {"ours": Measured([1.0])})
    record(tmp_path / "runs", [1.0], [1.0])
    with pytest.raises(KeyError, match="a miss: ours"):
        record(tmp_path / "runs", [1.0], [1.0], title="a miss")
    with pytest.raises(ValueError, match="a hit: floor, a hit: ours"):
        Recording(tmp_path / "runs").save()


def test_runs_of_another_interpreter_are_not_merged(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    record(path, [1.0], [1.0])
    text = path.read_text("utf-8")
    path.write_text(text.replace(platform.python_version(), "2.7.18"), "utf-8")
    with pytest.raises(ValueError, match="python_version"):
        record(path, [1.0], [1.0])


def worker(started: list[str], broken: tuple[str, int] = ("", 0)) -> processes.Start:
    """Stands for a child: records one value, the number of the process, and returns a row that tells of all."""

    def start(name: str, quick: bool, runs: Path) -> list[Row] | None:
        started.append(name)
        number = started.count(name)
        if (name, number) == broken:
            return None
        samples = record(runs, [float(number)], [1.0], title=name)
        return [harness.compare(name, samples, "ours", "floor")]

    return start


def test_processes_take_turns_and_the_last_one_tells() -> None:
    started: list[str] = []
    found = processes.run(["hits", "memory", "lookup"], quick=False, start=worker(started))
    assert started == ["hits", "memory", "lookup", "hits", "lookup", "hits", "lookup"]
    assert [row.benchmark for row in found.rows] == ["hits", "memory", "lookup"]
    assert found.rows[0].detail["figure"]["processes"] == [1.0, 2.0, 3.0]
    assert {of.get_name(): of.get_nrun() for of in found.benchmarks} == {
        "hits: ours": 3, "hits: floor": 3, "memory: ours": 1, "memory: floor": 1, "lookup: ours": 3, "lookup: floor": 3,
    }  # fmt: skip


def test_a_quick_run_has_one_process_of_each() -> None:
    started: list[str] = []
    processes.run(["hits", "memory"], quick=True, start=worker(started))
    assert started == ["hits", "memory"]


def test_a_module_of_which_a_process_breaks_off_says_so_and_has_no_figures() -> None:
    started: list[str] = []
    found = processes.run(["hits", "lookup"], quick=False, start=worker(started, broken=("hits", 2)))
    assert started == ["hits", "lookup", "hits", "lookup", "lookup"]
    assert found.rows[0] == Row("hits", "broke off", goal="to run", met=False, detail={"broke_off": True})
    assert [of.get_name() for of in found.benchmarks] == ["lookup: ours", "lookup: floor"]


def test_a_child_that_fails_is_noticed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    damaged = tmp_path / "runs.json"
    damaged.write_text("no JSON", "utf-8")
    assert processes.child("misses", True, damaged) is None
    assert "JSONDecodeError" in capfd.readouterr().err


def test_every_module_is_known() -> None:
    names = processes.NAMES + processes.BY_NAME
    for name in names:
        assert (ROOT / "benchmarks" / f"{name}.py").exists()
    assert processes.ALONE.keys() < set(names)


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """The results of two runs, in the second of which ours took twice as long."""
    made = []
    for times in (1, 2):
        recording = Recording()
        hits = {"ours": Measured([2.0e-6 * times, 2.1e-6 * times, 2.2e-6 * times]), "floor": Measured([1e-6] * 3)}
        samples = recording.add("a hit", hits)
        memory = recording.add("memory", {"ours": Measured([1800.0], unit="byte", duration=0.5)})
        rows = [harness.compare("a hit", samples, "ours", "floor", harness.Goal("<=", 3.0)), Row("memory", "1.8 KB")]
        found = processes.Run(rows, [*samples.benchmarks.values(), *memory.benchmarks.values()], {})
        made += [path for path in report.write(found, told(), tmp_path / str(times)) if path.suffix == ".json"]
    return made


def test_a_result_is_read_by_pyperf(files: list[Path]) -> None:
    suite = pyperf.BenchmarkSuite.load(str(files[0]))
    assert suite.get_benchmark_names() == ["a hit: ours", "a hit: floor", "memory: ours"]
    assert suite.get_benchmark("a hit: ours").get_values() == (2.0e-6, 2.1e-6, 2.2e-6)
    assert suite.get_benchmark("memory: ours").format_value(1800) == "1800 bytes"
    assert suite.get_benchmark("memory: ours").get_total_duration() == 0.5
    assert "timer" not in suite.get_benchmark("memory: ours").get_metadata()
    assert suite.get_metadata()["description"] == "python -m benchmarks"


def test_its_commands_work_on_a_result(files: list[Path]) -> None:
    assert "Total number of values: 3" in run("pyperf", "stats", str(files[0]))
    assert "a hit: floor" in run("pyperf", "hist", str(files[0]))
    compared = run("pyperf", "compare_to", *map(str, files))
    assert "a hit: ours" in compared
    assert "2.00x slower" in compared


def test_a_result_names_no_host_and_no_path(files: list[Path]) -> None:
    text = files[0].read_text("utf-8")
    known = pyperf.BenchmarkSuite.load(str(files[0])).get_benchmark("a hit: ours").get_metadata()
    assert not {"hostname", "python_executable", "python_config_args", "python_cflags"} & known.keys()
    assert f'"{socket.gethostname()}"' not in text
    assert sys.prefix not in text


def test_compare_tells_what_got_worse(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert regression.compare(*files) == 1
    said = capsys.readouterr().out
    assert "a hit, against floor: 2.1 -> 4.2 (+100 %" in said
    assert "goals that fail now and did not:\n  a hit, against floor" in said
    assert regression.compare(files[0], files[0]) == 0


def test_a_run_that_timed_nothing_has_rows_only(tmp_path: Path) -> None:
    found = processes.Run([Row("requests of 50 callers", "1")], [], {})
    (path,) = (path for path in report.write(found, told(), tmp_path) if path.suffix == ".json")
    assert report.read(path).rows == found.rows


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_results_that_were_committed_before_can_still_be_compared(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.read(path).rows
    assert regression.compare(path, path) == 0
    assert "0 goals newly fail" in capsys.readouterr().out


def test_a_quick_run_of_one_benchmark(tmp_path: Path) -> None:
    said = run("benchmarks", "quick", "misses", "--into", str(tmp_path))
    (path,) = tmp_path.glob("*-quick-misses.json")
    results = report.read(path)
    assert report.table(results.rows) in said
    assert results.about["command"] == "python -m benchmarks quick misses"
    assert pyperf.BenchmarkSuite.load(str(path)).get_benchmark("miss, 1 KB: ours").get_nvalue() == 15
    assert "miss, 1 KB: bare" in run("pyperf", "stats", str(path))
