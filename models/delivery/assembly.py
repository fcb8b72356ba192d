"""Puts a shipped function together and pickles it, in the interpreter that it is for: `python assembly.py PARTS OUT`.

This file is run by itself, where this project is not: it imports only Python's own modules, numpy and cloudpickle. It
trusts PARTS: they were written by the process that starts it.
"""

import json
import os
import sys
from hashlib import sha256
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import cloudpickle  # type: ignore[import-untyped]
import numpy as np

MAKER = ("models.delivery.livepredictor", "make_predict")


def main(parts: str, out: str) -> None:
    """Read the parts, make the function, write its pickle."""
    place = Path(parts)
    predict = made(place)
    number_classes(json.dumps(json.loads((place / "parts.json").read_text(encoding="utf-8"))["modules"]))
    temporary = Path(f"{out}.part")
    temporary.write_bytes(cloudpickle.dumps(predict, protocol=5))
    os.replace(temporary, out)


def made(place: Path) -> Any:
    """The function `predict` of the parts in a folder."""
    told = json.loads((place / "parts.json").read_text(encoding="utf-8"))
    spaces = executed(told["modules"])
    shipped = filled(told["shipped"], place)
    functions = {name: spaces[name.partition(":")[0]][name.partition(":")[2]] for name in told["functions"]}
    return spaces[MAKER[0]][MAKER[1]](shipped, functions)


def number_classes(source: str) -> None:
    """Let cloudpickle name the classes that it pickles by value after their source, instead of by chance.

    So the same parts give the same bytes, and a process that loads two such pickles takes classes of different source
    for different ones.
    """
    numbers = count(int(sha256(source.encode()).hexdigest()[:30], 16))
    cloudpickle.cloudpickle.uuid = SimpleNamespace(uuid4=lambda: UUID(int=next(numbers)))


def executed(modules: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The names of each module, once its source was run; all call themselves `__main__`, to be pickled by value."""
    spaces: dict[str, dict[str, Any]] = {}
    for module in modules:
        space: dict[str, Any] = {"__name__": "__main__"}
        for name, (other, original) in module["bindings"].items():
            space[name] = spaces[other][original]
        exec(compile(module["source"], f"<{module['name']}>", "exec"), space)
        spaces[module["name"]] = space
    return spaces


def filled(value: Any, place: Path) -> Any:
    """The data with its arrays and bytes, which lie in files of their own, in their places."""
    if isinstance(value, list):
        return [filled(one, place) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"array"}:
        return np.load(place / value["array"], allow_pickle=False)
    if value.keys() == {"bytes"}:
        return (place / value["bytes"]).read_bytes()
    return {name: filled(one, place) for name, one in value.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
