"""The thresholds of the backtest gate. The reasons for the defaults are in ARCHITECTURE.md, "The gate"."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eraflow.settings.section import Section


class GateSettings(Section):
    """What an ensemble must show out of fold before it may be submitted. An empty threshold switches its rule off."""

    on_block: Literal["hold", "champion"] = Field(
        "hold",
        description="When the gate blocks: send nothing and alert (hold), or submit with the champion (champion).",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="One-sided confidence of every bound (EWC interval).")
    corr_bound: float | None = Field(
        0.0, description="The calibrated lower bound of mean CORR over all out-of-fold eras must lie above this."
    )
    bmc_bound: float | None = Field(
        None,
        description="The calibrated lower bound of mean BMC, where the benchmark covers, must lie above this. "
        "Empty: BMC must not be significantly negative.",
    )
    mmc_floor: float | None = Field(
        -0.005, description="Mean MMC must lie above this; it must not be significantly negative either."
    )
    recent_eras: int | None = Field(
        52, ge=8, description="Alarm when the last so many eras are significantly worse than those before."
    )
    recent_confidence: float = Field(0.99, gt=0.5, lt=1, description="Confidence of the recent-window alarm.")
    max_drawdown: float | None = Field(
        None, gt=0, description="The largest drop of cumulative CORR. Empty: switched off."
    )
    max_drawdown_eras: float | None = Field(
        None, gt=0, description="The drawdown cap in standard deviations of the per-era CORR. Empty: switched off."
    )
    max_exposure: float | None = Field(
        0.5, gt=0, le=1, description="Mean over eras of the largest absolute correlation with any single feature."
    )
    champion_confidence: float | None = Field(
        0.95, gt=0.5, lt=1, description="Block when the ensemble is worse than the champion at this confidence."
    )
    min_models: int = Field(1, ge=1, description="How many models must have been trained for a blend to be judged.")
    verdict_max_age_days: float = Field(6, gt=0, description="A verdict older than this cannot be submitted on.")
