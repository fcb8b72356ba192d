"""What a pickle refers to by name, read from its steps: nothing is loaded and nothing is executed."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eraflow.rehearsal.faults import PicklePandasError, PickleProjectError, PickleUnreadableError, RehearsalFault, fault

OURS = ("eraflow", "models", "tasks", "flows", "deployments")
PANDAS_INSIDES = ("pandas._libs", "pandas.core.internals", "pandas.core.arrays", "pandas.core.dtypes")
PANDAS_MAKERS = {"_new_Index", "_unpickle_block", "new_block", "_reconstruct_Index"}
BY_NAME = frozenset({"BINGET", "LONG_BINGET", "GET"})


def references(path: Path) -> list[tuple[str, str]]:
    """(module, name) of everything that a pickle takes from modules, in its order; names that cannot be told are left
    out.

    Raises:
        PickleUnreadableError: it is no pickle.
    """
    try:
        return list(_references(path.read_bytes()))
    except (ValueError, OSError, IndexError, KeyError) as error:
        raise fault(PickleUnreadableError, f"{path} is no pickle: {error}") from error


def scanned_faults(path: Path) -> list[RehearsalFault]:
    """What can be said of a pickle before it is loaded."""
    found = references(path)
    faults: list[RehearsalFault] = []
    ours = sorted({module for module, _ in found if module.partition(".")[0] in OURS})
    if ours:
        faults.append(fault(PickleProjectError, f"the pickle refers to {', '.join(ours[:3])} by name"))
    held = sorted({f"{module}.{name}" for module, name in found if _inside_pandas(module, name)})
    if held:
        faults.append(fault(PicklePandasError, f"the pickle holds objects of pandas: {', '.join(held[:3])}"))
    return faults


def _inside_pandas(module: str, name: str) -> bool:
    return module.startswith(PANDAS_INSIDES) or (module.startswith("pandas") and name in PANDAS_MAKERS)


def _references(content: bytes) -> Iterator[tuple[str, str]]:
    """Follow the strings that are put on the stack; a reference takes the last two."""
    strings: list[str] = []
    memo: dict[int, str] = {}
    last: str | None = None
    count = 0
    for step, given, _ in pickletools.genops(content):
        value: Any = given
        if step.name == "GLOBAL" or step.name == "INST":
            module, _, name = str(value).partition(" ")
            yield module, name
        elif step.name == "STACK_GLOBAL" and len(strings) > 1:
            yield strings[-2], strings[-1]
        if "UNICODE" in step.name and isinstance(value, str):
            last = value
            strings.append(value)
        elif step.name == "MEMOIZE":
            if last is not None:
                memo[count] = last
            count += 1
        elif step.name in ("BINPUT", "LONG_BINPUT", "PUT"):
            if last is not None:
                memo[int(value)] = last
        elif step.name in BY_NAME and int(value) in memo:
            strings.append(memo[int(value)])
            last = None
        else:
            last = None
