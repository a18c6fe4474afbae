"""Every check of the project, and the demo. `python noxfile.py` needs nothing but Python: it gets nox itself.

python noxfile.py       what CI runs, on the Python that runs it
python noxfile.py -l    every session, with what it does
python noxfile.py -s check -- tests/unit/engine/test_cache_key.py -k sorted    one test
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


def _run_with_nox_of_its_own() -> int:
    """Make `.nox/tool` with nox in it, once, and run this file there."""
    tool = HERE / ".nox" / "tool"
    python = tool / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = tool / "ready"
    if not ready.exists():
        print("setting up nox in .nox/tool …", flush=True)
        shutil.rmtree(tool, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(tool)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "nox>=2025.2.9"], check=True)
        ready.touch()
    return subprocess.run([str(python), "-m", "nox", "--noxfile", __file__, *sys.argv[1:]], check=False).returncode


try:
    import nox
except ImportError:
    if __name__ == "__main__":
        sys.exit(_run_with_nox_of_its_own())
    raise


nox.options.sessions = ["lint", "types", "docs", "check", "package"]  # check runs the examples too
IN_TWO = ("-n", "2", "--dist", "loadfile")  # which halves the time on two cores
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_external_run = True


def _interpreters() -> list[str]:
    """The Pythons found here: on the path, or as pyenv installs them."""
    found = []
    for version in PYTHONS:
        homes = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin"))
        if homes:
            # pyenv's own shims refuse versions that are not selected; the real ones come after everything else.
            os.environ["PATH"] += os.pathsep + str(homes[-1])
        if homes or shutil.which(f"python{version}"):
            found.append(version)
    return found


INTERPRETERS = _interpreters()
DIST = HERE / ".nox" / "dist"


def _install(
    session: nox.Session, *groups: str, extras: str = "wats,httpx2,redis,zstd,prometheus,opentelemetry,cli"
) -> None:
    wanted = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), *groups) if groups else ()
    session.install("-e", f".[{extras}]" if extras else ".", *wanted)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, imports, the borders between the parts, and that httpx2.py is written from httpx.py."""
    _install(session, "lint", extras="")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    session.run("python", "tests/package/httpx2_face.py", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy on the package for the oldest and the newest Python; mypy and pyright on code as users write it.

    And by pyright, that every public name has a type.
    """
    _install(session, "types", "test")
    for version in (PYTHONS[0], PYTHONS[-1]):
        session.run("mypy", "--strict", "--python-version", version, "src")
    session.run("mypy", "--strict", "tests/typing")
    session.run("basedpyright")
    session.run("python", "tests/package/check_type_completeness.py")


@nox.session
def check(session: nox.Session) -> None:
    """The whole test-suite on this Python, in two processes; what is named after `--` in one."""
    _install(session, "test")
    session.run("pytest", *(session.posargs or IN_TWO))


@nox.session(python=INTERPRETERS or None)
def tests(session: nox.Session) -> None:
    """The whole test-suite on every Python found here."""
    _install(session, "test")
    session.run("pytest", *(session.posargs or IN_TWO))


@nox.session
def package(session: nox.Session) -> None:
    """Build sdist and wheel, look into them, and try the wheel on this Python (-- all: on every one found here)."""
    session.install("build>=1.2")
    shutil.rmtree(DIST, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(DIST))
    session.run("python", "-m", "build", "--wheel", "--outdir", str(DIST / "tree"))
    session.run("python", "tests/package/check_artifacts.py", str(DIST))
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    for version in INTERPRETERS:
        if version == this or "all" in session.posargs:
            session.notify(f"installed-{version}")


@nox.session(python=INTERPRETERS or None, reuse_venv=False, venv_backend="uv|virtualenv")
def installed(session: nox.Session) -> None:
    """The wheel that `-s package` built, in a fresh environment: first with nothing else, then with the SDK."""
    (wheel,) = DIST.glob("*.whl")
    session.install(str(wheel))
    session.run("python", "-I", "tests/package/smoke_core.py")
    session.install(f"{wheel}[wats]")
    session.run("python", "-I", "tests/package/smoke_wats.py")


@nox.session
def service(session: nox.Session) -> None:
    """The station service, for real. A session of its own: PySide6-Essentials is 100 MB."""
    _install(session, "test", extras="service,httpx2,redis")
    session.run("pytest", "tests/service", "tests/docs/test_configuration.py", *session.posargs)


@nox.session
def page(session: nox.Session) -> None:
    """The page in a headless Chromium, which has to be there: `apt-get install chromium` on Debian."""
    _install(session, "test", extras="prometheus,cli")
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "chrome")):
        session.error("no Chromium: apt-get install chromium")
    session.run("pytest", "tests/page", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """Each example, as a user runs it, with what it prints; `check` runs them too, and prints nothing."""
    _install(session, "test")
    session.run("python", "examples/run_all.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation as a site, in site/. A broken link or anchor fails."""
    _install(session, "docs", extras="wats,redis,prometheus,web")
    session.run("zensical", "build", "--clean", "--strict", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Processes that share a store and are killed at random, for ten minutes each way (-- 60: for a minute).

    `check` runs 10 s of each.
    """
    _install(session, "test")
    seconds = session.posargs[0] if session.posargs else "600"
    limit = str(float(seconds) + 600)
    env = {"PYWATS_CACHE_SOAK_SECONDS": seconds, "PYWATS_CACHE_TEST_LIMIT": limit}
    session.run("pytest", "tests/sharing/test_histories.py", "-s", env=env)


@nox.session
def simulate(session: nox.Session) -> None:
    """Schedules of processes over a simulated Redis that fails, from a new seed on, for ten minutes (-- 60: a minute).

    `check` runs 10 s of it, always the same.
    """
    _install(session, "test")
    session.run("python", "tests/simulation/schedules.py", *(session.posargs or ["600"]))


@nox.session
def fuzz(session: nox.Session) -> None:
    """Random calls to a random server, held against the bare client, for ten minutes (-- 60: for a minute).

    `check` runs a minute of it.
    """
    _install(session, "test")
    seconds = session.posargs[0] if session.posargs else "600"
    limit = str(float(seconds) + 600)
    env = {"PYWATS_CACHE_FUZZ_SECONDS": seconds, "PYWATS_CACHE_TEST_LIMIT": limit}
    session.run("pytest", "tests/fuzz", "-s", env=env)


@nox.session
def demo(session: nox.Session) -> None:
    """Real pyWATS calls against a simulated server, without and with the cache."""
    _install(session, extras="wats")
    session.run("python", "examples/demo.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmark suite; results go to benchmarks/results."""
    _install(session, "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


if __name__ == "__main__":
    command = [sys.executable, "-m", "nox", "--noxfile", __file__, *sys.argv[1:]]
    sys.exit(subprocess.run(command, check=False).returncode)
