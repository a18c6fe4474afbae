"""Objects named on the command line: `module:name`."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from ..support.showing import shown
from .output import USAGE, fail

__all__ = ["load"]


def load(target: str, must: str) -> Any:
    """The object at `module:name`, looked for in the working directory too. Ends the program where there is none.

    `must`: what the argument must be, for the message.
    """
    module, _, name = target.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        fail(f"{must}, not {shown(target)}", USAGE)
    sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        fail(f"{target} cannot be loaded: {error}", USAGE)
    return found
