"""The errors of the limits that are not about memory or time: the disk's floor and the GPU's memory."""

from __future__ import annotations

from pathlib import Path

from eraflow.machine.exits import Remains
from eraflow.machine.failures import StageError, stage_error
from eraflow.machine.plan import FailureKind
from eraflow.machine.watch import Limits


def refuse_passed_limit(remains: Remains, limits: Limits, place: Path) -> None:
    """Nothing, or the error of the limit for which the watch ended the stage.

    Raises:
        StageError: of kind "disk_full" or "vram".
    """
    if remains.breach == "disk":
        raise _error(
            remains,
            "disk_full",
            f"{remains.target} was ended because the disk of {place} had {remains.at_breach_mb:,.0f} MiB free; "
            f"the floor is {limits.disk_floor_mb or 0:,.0f} MiB",
            "free some space there, or lower machine.disk_floor_mb, then run again: what was finished is kept",
        )
    if remains.breach == "vram":
        raise _error(
            remains,
            "vram",
            f"{remains.target} was ended because it used {remains.at_breach_mb:,.0f} MiB of GPU memory; "
            f"machine.vram_mb is {limits.vram_mb or 0:,.0f} MiB",
            "raise machine.vram_mb if the GPU has it free, lower the model's batch_size, or set machine.device=cpu",
        )


def _error(remains: Remains, kind: FailureKind, problem: str, remedy: str) -> StageError:
    return stage_error(
        kind,
        problem,
        f"{remedy} (output in {remains.log_file})",
        detail="\n".join(remains.tail),
        peak_mb=remains.peak_mb,
        seconds=remains.seconds,
    )
