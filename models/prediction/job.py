"""What the stage that predicts the live era takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eraflow.machine.job import How


@dataclass(frozen=True)
class PredictJob:
    """The folder of an ensemble and a live file, which are known by their signatures."""

    ensemble: How[Path]
    live: How[Path]
