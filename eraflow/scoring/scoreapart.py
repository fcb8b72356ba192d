"""Scoring a file in a process of its own: what it parses is foreign, and native code that aborts ends its process.

The scores come back as a pickle in the scratch folder, which nobody but this command writes.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eraflow.machine.apart import again_if_killed, failures_while
from eraflow.machine.isolate import run_isolated
from eraflow.machine.resources import memory_budget_mb, probe
from eraflow.scoring.scorefile import FileScores, score_file
from eraflow.settings.data import DataSettings
from eraflow.settings.machine import MachineSettings

FOUND = "found.pickle"


def score_apart(
    predictions: Path, folder: Path, data: DataSettings, scratch: Path, *, confidence: float = 0.95
) -> FileScores:
    """As `score_file`, in a child.

    Raises:
        EraflowError: as `score_file`; and what the child died of, about these files.
    """
    work = scratch / "work"
    asked = {
        "predictions": str(predictions),
        "folder": str(folder),
        "data": data.model_dump(mode="json"),
        "out": str(work),
        "confidence": confidence,
    }
    limits: dict[str, Any] = {
        "memory_mb": memory_budget_mb(probe(scratch), MachineSettings(memory_mb=None)),
        "timeout_s": None,
    }
    with failures_while(f"{predictions} was scored on {folder}"):
        again_if_killed(lambda: run_isolated(f"{__name__}:score", asked, log=_silent, folder=work, **limits), _silent)
    with (work / FOUND).open("rb") as file:
        found: FileScores = pickle.load(file)
    return found


def _silent(_: str) -> None:
    """Nothing of the child's is shown: its end is told by the error."""


def score(*, predictions: str, folder: str, data: Mapping[str, Any], out: str, confidence: float) -> dict[str, Any]:
    """In the child: score, and leave what was found in the folder `out`."""
    settings, place = DataSettings.model_validate(data), Path(out)
    found = score_file(Path(predictions), Path(folder), settings, place, confidence=confidence)
    with (place / FOUND).open("wb") as file:
        pickle.dump(found, file)
    return {"rows": found.rows}
