"""The parts of a shipped function in a folder, as `models.delivery.assembly` reads them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.disk.atomic import atomic_path, write_bytes, write_text
from models.delivery.parts import function_names
from models.delivery.sourcecode import SourceNotExportableError, needed_source, outside_imports

MAKER = "models.delivery.livepredictor:make_predict"
THERE = {"numpy", "scipy", "pandas", "numba", "lightgbm", "xgboost", "catboost"}
"""What a shipped function may import beside Python's own modules."""


def write_parts(folder: Path, shipped: dict[str, Any]) -> None:
    """Write an ensemble from `models.delivery.parts.shipped_ensemble`, and the source it needs, `parts.json` last.

    Raises:
        SourceNotExportableError: the source reaches what is not there.
    """
    functions = function_names(shipped)
    modules = needed_source([MAKER, *functions])
    check_imports(sorted(outside_imports(modules) - THERE - sys.stdlib_module_names))
    told = {
        "modules": [{"name": one.name, "source": one.source, "bindings": one.bindings} for one in modules],
        "functions": functions,
        "shipped": _laid_out(shipped, folder, []),
    }
    # Keys stay in their order: some networks take their arrays as they come.
    write_text(folder / "parts.json", json.dumps(told, allow_nan=False))


def check_imports(strangers: Sequence[str]) -> None:
    """Refuse a source that needs packages which the runtime lacks, or which a pickle of ours is not to import."""
    if strangers:
        raise SourceNotExportableError(
            f"the shipped function would import {', '.join(strangers)}",
            f"use {', '.join(sorted(THERE))} and Python's own modules alone",
        )


def _laid_out(value: Any, folder: Path, written: list[str]) -> Any:
    """The data as JSON; arrays and bytes become files with a number."""
    if isinstance(value, np.ndarray):
        name = _next_name(written, "npy")
        with atomic_path(folder / name) as temporary, temporary.open("wb") as file:
            np.save(file, value, allow_pickle=False)
        return {"array": name}
    if isinstance(value, bytes):
        name = _next_name(written, "bin")
        write_bytes(folder / name, value)
        return {"bytes": name}
    if isinstance(value, dict):
        return {name: _laid_out(one, folder, written) for name, one in value.items()}
    if isinstance(value, list):
        return [_laid_out(one, folder, written) for one in value]
    return value


def _next_name(written: list[str], ending: str) -> str:
    written.append(f"{len(written)}.{ending}")
    return written[-1]
