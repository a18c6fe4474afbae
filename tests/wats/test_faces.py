"""The stubs of the sync services say what the SDK's services are."""

from __future__ import annotations

import ast

import pytest
import sync_faces


def members(stub: str) -> dict[str, list[str]]:
    """Each class of a stub, with its members as text without layout."""
    return {
        node.name: [ast.unparse(member) for member in node.body]
        for node in ast.parse(stub).body
        if isinstance(node, ast.ClassDef)
    }


@pytest.mark.parametrize("domain", sync_faces.MODULES)
def test_a_face_is_that_of_the_sdk(domain: str) -> None:
    written = (sync_faces.FACES / f"{domain}.pyi").read_text(encoding="utf-8")
    assert members(written) == members(sync_faces.face_of(domain)), "run tests/wats/sync_faces.py"


def test_every_domain_has_a_face() -> None:
    assert {path.stem for path in sync_faces.FACES.glob("[!_]*.pyi")} == set(sync_faces.MODULES)
