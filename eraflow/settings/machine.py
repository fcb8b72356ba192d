"""How much of this computer a run may use."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eraflow.settings.bounds import PETABYTE_MB, YEAR_MINUTES
from eraflow.settings.section import Section


class MachineSettings(Section):
    """How much of this computer a run may use."""

    memory_mb: int | None = Field(
        12_000,
        ge=300,
        le=PETABYTE_MB,
        description="Memory of all stages of this home together, their process trees included. Never more than what "
        "is free. MiB.",
    )
    vram_mb: int | None = Field(
        None,
        ge=500,
        le=PETABYTE_MB,
        description="GPU memory of a stage. Empty: what the GPU has free when it starts. MiB.",
    )
    disk_floor_mb: int | None = Field(
        None,
        ge=0,
        le=PETABYTE_MB,
        description="A stage ends when its disk has less than this free; 0 switches it off. "
        "Empty: 512, on a small disk a twentieth of it. MiB.",
    )
    wait_minutes: float = Field(
        60, ge=0, le=YEAR_MINUTES, description="How long a stage waits for memory that other stages hold."
    )
    threads: int | None = Field(
        None, ge=1, le=4096, description="Threads of a stage. Empty: all cores this process may use."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where models are trained.")
    cache_mb: int = Field(
        20_000,
        ge=0,
        le=PETABYTE_MB,
        description="Disk space for binned training data that is kept between fits and runs; never more than a quarter "
        "of what is free. 0: nothing is kept. MiB.",
    )
    folds_mb: int = Field(
        4_000,
        ge=0,
        le=PETABYTE_MB,
        description="Disk space for finished folds that are kept from week to week, so that a week trains what is new; "
        "never more than a quarter of what is free. 0: nothing is kept, and each week trains every window. MiB.",
    )
    training_hours: float | None = Field(
        12,
        gt=0,
        le=YEAR_MINUTES / 60,
        description="What the training of all members together may take. Optional members (those of a profile that "
        "need an extra) which would go beyond it, as reckoned before the start, are left out with the reason; a member "
        "that is named is trained whatever it takes. Empty: no limit. Hours.",
    )
    stage_minutes: float = Field(600, gt=0, le=YEAR_MINUTES, description="A stage that runs longer is ended and named.")
    attempts: int = Field(12, ge=1, le=20, description="Attempts of a stage, each with another plan.")
