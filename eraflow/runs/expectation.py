"""What one stage is expected to need here and now: the formula, corrected by earlier runs, against this computer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.machine.budget import Lease
from eraflow.machine.estimate import HEADROOM, Need, correction, estimate, fitting, least_mb
from eraflow.machine.failures import stage_error
from eraflow.machine.plan import Plan
from eraflow.machine.resources import MIN_MEMORY_MB, Resources, blind_plan, disk_floor_mb, roomiest_plan
from eraflow.runs.pastpeaks import earlier_ratios
from eraflow.settings.machine import MachineSettings

RESERVE = 1.2
"""A stage is promised its estimate and a fifth; beyond that it grows into what nobody else was promised."""
BLIND_MB = 1_000.0
"""What a stage is promised whose need is not known."""


@dataclass(frozen=True)
class Expectation:
    """The need of a stage (None: not known), the factor earlier runs teach, and the free GPU memory (MiB, or None)."""

    need: Need | None
    correction: float = 1.0
    vram_mb: float | None = None

    def least_mb(self, asked: Plan) -> float:
        """Memory below which there is no use in starting, MiB."""
        return MIN_MEMORY_MB if self.need is None else HEADROOM * least_mb(self.need, asked, self.correction)

    def fit(self, asked: Plan, lease: Lease) -> Plan:
        """The roomiest plan from `asked` downwards that fits what the lease allows; the lease then holds its need."""
        if self.need is None:
            lease.reserve(min(BLIND_MB, lease.limit_mb))
            return blind_plan(asked, lease.limit_mb)
        plan, expected = fitting(
            self.need, asked, budget_mb=lease.limit_mb, vram_mb=self.vram_mb, correction=self.correction
        )
        lease.reserve(RESERVE * expected.ram_mb)
        return plan

    def words(self, plan: Plan, budget_mb: float) -> str:
        """For the log."""
        if self.need is None:
            return f"its need is not known, budget {budget_mb:.0f} MiB"
        expected = estimate(self.need, plan, self.correction)
        gpu = f", {expected.vram_mb:.0f} MiB of GPU memory" if plan.device == "cuda" else ""
        return f"expected {expected.ram_mb:.0f} of {budget_mb:.0f} MiB{gpu}, {expected.disk_mb:.0f} MiB of disk"

    def record(self, plan: Plan) -> dict[str, Any]:
        """For the manifest, from which later runs learn."""
        if self.need is None:
            return {}
        raw = estimate(self.need, plan).ram_mb
        return {
            "kind": self.need.kind,
            "raw_mb": raw,
            "correction": round(self.correction, 4),
            **estimate(self.need, plan, self.correction).as_dict(),
        }


def expectation(
    need: Need | None, resources: Resources, machine: MachineSettings, *, home: Path | None, run_dir: Path
) -> Expectation:
    """What to expect of a stage of this size, here."""
    free = max((float(gpu.vram_free_mb) for gpu in resources.gpus), default=None)
    vram = free if machine.vram_mb is None or free is None else min(free, float(machine.vram_mb))
    if need is None:
        return Expectation(None, vram_mb=vram)
    runs = home / "runs" if home is not None else run_dir / "none"
    return Expectation(need, correction(earlier_ratios(runs, need.kind, also=run_dir)), vram)


def require_disk(
    expected: Expectation, name: str, folder: Path, resources: Resources, machine: MachineSettings
) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        StageError: of kind "disk_full", telling how much is missing and where.
    """
    if expected.need is None:
        return
    here = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / (1 << 20)  # of an attempt before
    wanted = max(estimate(expected.need, roomiest_plan(resources, machine)).disk_mb - here, 0.0)
    floor = disk_floor_mb(resources, machine)
    missing = wanted + floor - resources.disk_free_mb
    if missing > 0:
        raise stage_error(
            "disk_full",
            f"{name} needs about {wanted:,.0f} MiB in {folder} and {floor:,} MiB are to stay free "
            f"(machine.disk_floor_mb), but {resources.disk_free_mb:,} MiB are free: {missing:,.0f} MiB are missing",
            "free some space there, choose another home or --run-dir, or use fewer features, then run again",
        )
