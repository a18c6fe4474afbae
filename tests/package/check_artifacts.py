"""What is in the wheel and in the sdist: `python tests/package/check_artifacts.py DIST`, as `nox -s package` runs it.

DIST holds the sdist with the wheel built from it, and DIST/tree the wheel built from the checkout.
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
IN_SDIST = (
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "noxfile.py", "pyproject.toml",
    "src/pywats_cache/__init__.py", "tests/conftest.py", "examples/run_all.py", "docs/guides/sharing.md",
    "benchmarks/__main__.py",
)  # fmt: skip


def files_of(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def check_wheel(files: dict[str, bytes]) -> None:
    """It holds the package as it is in the checkout, its metadata, and nothing else."""
    ours = {
        path.relative_to(SOURCE).as_posix(): path.read_bytes()
        for path in SOURCE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    info = {name: text for name, text in files.items() if ".dist-info/" in name}
    assert {name: text for name, text in files.items() if name not in info} == ours
    for needed in (
        "py.typed",
        "web/static/page.html",
        "web/static/page.js",
        "web/static/settings.js",
        "wats/service/sample.json",
        "wats/stubs/product.pyi",
    ):
        assert f"pywats_cache/{needed}" in ours, needed
    (prefix,) = {name.split("/")[0] for name in info}
    assert info[f"{prefix}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    entries = info[f"{prefix}/entry_points.txt"].decode()
    assert "[console_scripts]\npywats-cache = pywats_cache.cli:main" in entries
    assert "[pytest11]\npywats_cache = _pywats_cache_pytest" in entries
    metadata = Parser().parsestr(info[f"{prefix}/METADATA"].decode())
    assert metadata["Name"] == "pywats-cache"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")


def check_sdist(sdist: Path) -> None:
    """It holds what a packager needs, and nothing that git ignores."""
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers()}
    assert set(IN_SDIST) <= names, set(IN_SDIST) - names
    strays = [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".db"))]
    assert not strays, strays


def main() -> None:
    dist = Path(sys.argv[1])
    (sdist,) = dist.glob("*.tar.gz")
    (from_sdist,) = dist.glob("*.whl")
    (from_tree,) = (dist / "tree").glob("*.whl")
    check_sdist(sdist)
    files = files_of(from_tree)
    check_wheel(files)
    assert files_of(from_sdist) == files, "the sdist builds another wheel than the checkout"
    print(f"{from_tree.name}: {len(files)} files, {from_tree.stat().st_size} bytes; {sdist.name} builds the same")


if __name__ == "__main__":
    main()
