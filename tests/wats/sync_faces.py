"""The sync faces of the SDK's services as stubs: `async def` made `def`, nothing else. For type checkers only.

After a new version of the SDK, `python tests/wats/sync_faces.py` writes them to src/pywats_cache/wats/stubs; then
`ruff check --fix` and `ruff format` go over them. `test_faces.py` fails when they are not what the SDK says.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

FACES = Path(__file__).resolve().parents[2] / "src" / "pywats_cache" / "wats" / "stubs"
MODULES = {
    "analytics": (("async_service", "AsyncAnalyticsService"),),
    "asset": (("async_service", "AsyncAssetService"),),
    "manual_inspection": (("async_service", "AsyncManualInspectionService"),),
    "process": (("async_service", "AsyncProcessService"),),
    "product": (("async_service", "AsyncProductService"), ("async_box_build", "AsyncBoxBuildTemplate")),
    "production": (("async_service", "AsyncProductionService"),),
    "report": (("async_service", "AsyncReportService"),),
    "rootcause": (("async_service", "AsyncRootCauseService"),),
    "scim": (("async_service", "AsyncScimService"),),
    "software": (("async_service", "AsyncSoftwareService"),),
}
_BUILT_IN = {"List": "list", "Dict": "dict", "Tuple": "tuple", "Set": "set", "Type": "type"}
_ABSTRACT = {"Sequence", "Callable", "AsyncIterator", "Iterator", "Iterable", "Mapping"}


def face_of(domain: str) -> str:
    """The stub of a domain."""
    classes = [
        getattr(importlib.import_module(f"pywats.domains.{domain}.{module}"), name) for module, name in MODULES[domain]
    ]
    bodies = [_class(cls) for cls in classes]
    used = {node.id for body in bodies for node in ast.walk(body) if isinstance(node, ast.Name)}
    imports = sorted({line for name in used for cls in classes if (line := _import(cls, name))})
    text = "\n\n".join(ast.unparse(ast.fix_missing_locations(body)) for body in bodies)
    return '"""Made by tests/wats/sync_faces.py."""\n\n' + "\n".join(imports) + "\n\n" + text + "\n"


def _class(cls: type) -> ast.ClassDef:
    found = ast.parse(inspect.getsource(cls)).body[0]
    assert isinstance(found, ast.ClassDef)
    body: list[ast.stmt] = [_Modern().visit(statement) for statement in _members(found)]
    if hasattr(cls, "__aenter__"):
        body += ast.parse(
            "def __enter__(self) -> Self: ...\ndef __exit__(self, *error: object) -> bool | None: ..."
        ).body
    return ast.ClassDef(name=cls.__name__.replace("Async", "Sync"), bases=[], keywords=[], body=body, decorator_list=[])


def _members(cls: ast.ClassDef) -> list[ast.stmt]:
    members: dict[str, list[ast.stmt]] = {}
    overloaded: set[str] = set()
    for node in cls.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id[0] != "_":
            name = node.targets[0].id
            members[name] = ast.parse(f"{name}: {type(ast.literal_eval(node.value)).__name__}").body
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name.startswith("_"):
            continue
        marks = [ast.unparse(decorator) for decorator in node.decorator_list]
        function = ast.FunctionDef(
            name=node.name,
            args=node.args,
            body=[ast.Expr(ast.Constant(...))],
            decorator_list=[
                decorator for decorator, mark in zip(node.decorator_list, marks, strict=True) if _is_kept(mark)
            ],
            returns=node.returns or ast.Name("Any"),
        )
        if "overload" in marks:
            overloaded.add(node.name)
        elif node.name in overloaded:
            continue
        if "overload" in marks or any(mark.endswith(".setter") for mark in marks):
            members.setdefault(node.name, []).append(function)
        else:  # of two of one name the second counts, as in Python
            members[node.name] = [function]
    return [statement for group in members.values() for statement in group]


def _is_kept(mark: str) -> bool:
    return mark in ("property", "staticmethod", "classmethod", "overload") or mark.endswith(".setter")


class _Modern(ast.NodeTransformer):
    """Annotations as one writes them today, and no default that needs an import."""

    def visit_arguments(self, node: ast.arguments) -> Any:
        self.generic_visit(node)
        constant = (ast.Constant, ast.UnaryOp)
        node.defaults = [value if isinstance(value, constant) else ast.Constant(...) for value in node.defaults]
        node.kw_defaults = [
            value if value is None or isinstance(value, constant) else ast.Constant(...) for value in node.kw_defaults
        ]
        return node

    def visit_arg(self, node: ast.arg) -> Any:
        self.generic_visit(node)
        if node.annotation is None and node.arg not in ("self", "cls"):
            node.annotation = ast.Name("Any")
        return node

    def visit_Constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, str) and self._is_forward(node.value):
            return self.visit(ast.parse(node.value, mode="eval").body)
        return node

    @staticmethod
    def _is_forward(text: str) -> bool:
        return text[:1].isupper() and text.replace("[", "").replace("]", "").replace(", ", "").isidentifier()

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        name = node.value.id if isinstance(node.value, ast.Name) else ""
        node.value = ast.Name(_BUILT_IN.get(name, name))
        node.slice = self.visit(node.slice)
        if name == "Optional":
            return ast.BinOp(node.slice, ast.BitOr(), ast.Constant(None))
        if name == "Union":
            assert isinstance(node.slice, ast.Tuple)
            joined = node.slice.elts[0]
            for part in node.slice.elts[1:]:
                joined = ast.BinOp(joined, ast.BitOr(), part)
            return joined
        return node

    def visit_Name(self, node: ast.Name) -> Any:
        bare = {"dict": "dict[Any, Any]", "list": "list[Any]"}.get(_BUILT_IN.get(node.id, node.id))
        if bare:
            return ast.parse(bare, mode="eval").body
        return ast.Name("SyncBoxBuildTemplate") if node.id == "AsyncBoxBuildTemplate" else node


def _import(cls: type, name: str) -> str | None:
    """Where `name` comes from, as the module of `cls` sees it."""
    if name in _ABSTRACT:
        return f"from collections.abc import {name}"
    if name in ("Any", "overload"):
        return f"from typing import {name}"
    if name == "Self":
        return "from typing_extensions import Self"
    module = sys.modules[cls.__module__]
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            origin = importlib.util.resolve_name("." * node.level + (node.module or ""), module.__package__)
            return f"from {origin} import {name}"
    return f"from {cls.__module__} import {name}" if name in vars(module) else None


if __name__ == "__main__":
    FACES.mkdir(exist_ok=True)
    (FACES / "__init__.pyi").write_text('"""Made by tests/wats/sync_faces.py."""\n', encoding="utf-8")
    for each in MODULES:
        (FACES / f"{each}.pyi").write_text(face_of(each), encoding="utf-8")
