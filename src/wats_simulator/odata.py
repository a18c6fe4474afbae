"""The part of OData that WATS clients use: $filter, $orderby, $top and $skip over lists of objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from .call import Call, Refused

Json = dict[str, Any]
Test = Callable[[Json], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<word>[A-Za-z_][\w/]*)|(?P<time>\d{4}-\d\d-\d\d[\dT:.+Z-]*)"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<sign>[(),:]))"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: bool(a == b),
    "ne": lambda a, b: bool(a != b),
    "gt": lambda a, b: bool(a is not None and a > b),
    "ge": lambda a, b: bool(a is not None and a >= b),
    "lt": lambda a, b: bool(a is not None and a < b),
    "le": lambda a, b: bool(a is not None and a <= b),
}
_FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startswith": lambda text, part: text.startswith(part),
    "endswith": lambda text, part: text.endswith(part),
}
# What filters of report headers call a field, and what the header calls it. The SDK asks for the sub-units of test
# reports under the name that they have in repair reports.
_ALIASES = {"start": "startutc", "uursubunits": "subunits"}


def query(call: Call, items: Iterable[Json]) -> list[Json]:
    """Return the items the call's $filter, $orderby, $skip and $top ask for; 400 when it cannot be understood."""
    chosen = list(items)
    expression = call.query("$filter")
    if expression:
        test = _Parser(expression).whole()
        chosen = [item for item in chosen if test(_folded(item))]
    for part in reversed([part for part in call.query("$orderby").split(",") if part.strip()]):
        name, _, direction = part.strip().partition(" ")
        chosen.sort(key=lambda item: _sortable(_value(_folded(item), name)), reverse=direction.strip() == "desc")
    skip = call.number("$skip")
    top = call.number("$top", len(chosen))
    return chosen[skip : skip + top]


def _folded(item: Json) -> Json:
    return {key.casefold(): value for key, value in item.items()}


def _value(item: Json, name: str) -> Any:
    name = name.casefold().rpartition("/")[2]
    value = item.get(name)
    return item.get(_ALIASES[name]) if value is None and name in _ALIASES else value


def _sortable(value: Any) -> tuple[bool, str, Any]:
    return (value is not None, type(value).__name__, value if isinstance(value, (int, float, str)) else str(value))


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Give both sides one type: text without case (times as text of the same length), numbers as they are."""
    if isinstance(left, str) or isinstance(right, str):
        if left is None or right is None:
            return left, right
        left, right = str(left).casefold(), str(right).casefold()
        if re.match(r"\d{4}-\d\d-\d\dt", right):  # to the second: one side may have a fraction or an offset
            return left[:19], right[:19]
    return left, right


class _Parser:
    """Recursive descent over the tokens: or, and, not, comparison."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens: list[tuple[str, str]] = []
        position = 0
        while expression[position:].strip():
            match = _TOKEN.match(expression, position)
            if match is None or match.lastgroup is None:
                raise self.refused()
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()

    def refused(self) -> Refused:
        return Refused(400, f"$filter is not understood: {self.expression!r}")

    def whole(self) -> Test:
        test = self.either()
        if self.tokens:
            raise self.refused()
        return test

    def either(self) -> Test:
        tests = [self.both()]
        while self.accept("or"):
            tests.append(self.both())
        return lambda item: any(test(item) for test in tests)

    def both(self) -> Test:
        tests = [self.one()]
        while self.accept("and"):
            tests.append(self.one())
        return lambda item: all(test(item) for test in tests)

    def one(self) -> Test:
        if self.accept("not"):
            test = self.one()
            return lambda item: not test(item)
        if self.accept("("):
            test = self.either()
            self.expect(")")
            return test
        kind, name = self.take()
        if kind != "word":
            raise self.refused()
        if name.casefold() in _FUNCTIONS and self.accept("("):
            return self.function(_FUNCTIONS[name.casefold()])
        if name.casefold().endswith("/any") and self.accept("("):
            return self.any_of(name[: -len("/any")])
        return self.comparison(name)

    def function(self, compare: Callable[[str, str], bool]) -> Test:
        _, field = self.take()
        self.expect(",")
        part = str(self.literal()).casefold()
        self.expect(")")
        return lambda item: compare(str(_value(item, field) or "").casefold(), part)

    def any_of(self, collection: str) -> Test:
        self.take()
        self.expect(":")
        test = self.either()
        self.expect(")")
        return lambda item: any(test(_folded(part)) for part in _value(item, collection) or ())

    def comparison(self, field: str) -> Test:
        _, operator = self.take()
        compare = _COMPARE.get(operator.casefold())
        if compare is None:
            raise self.refused()
        right = self.literal()

        def test(item: Json) -> bool:
            try:
                return compare(*_alike(_value(item, field), right))
            except TypeError:
                return False

        return test

    def literal(self) -> Any:
        kind, token = self.take()
        if kind == "text":
            return token[1:-1].replace("''", "'")
        if kind == "number":
            return float(token)
        if kind == "time":
            return token
        if token.casefold() in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[token.casefold()]
        raise self.refused()

    def take(self) -> tuple[str, str]:
        if not self.tokens:
            raise self.refused()
        return self.tokens.pop(0)

    def accept(self, token: str) -> bool:
        if self.tokens and self.tokens[0][0] != "text" and self.tokens[0][1].casefold() == token:
            del self.tokens[0]
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise self.refused()
