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
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="One-sided confidence of the bounds of CORR, BMC and MMC (EWC interval)."
    )
    max_feature_corr: float | None = Field(
        0.03,
        gt=0,
        le=1,
        description="Cap: the mean correlation of a single feature with a target within eras may not certainly be more "
        "than this (EWC bound, 99.9% over all features) and half as much again as a tenth of the features have, nor "
        "lie above 0.8 in any era. More is a leak; the feature is named.",
    )
    max_copy: float | None = Field(
        0.04,
        gt=0,
        le=1,
        description="Alarm when a feature holds values copied from a target in about more than this share of the rows, "
        "beyond chance: in all eras, in a quarter of a year or in one. The feature is named.",
    )
    max_lead: float | None = Field(
        0.04,
        gt=0,
        le=1,
        description="Cap: mean CORR may not certainly lie further above the benchmark's than this, nor, where that is "
        "more, than the benchmark's own. More is too good to be true.",
    )
    corr_bound: float | None = Field(
        0.0,
        description="Certificate: the calibrated lower bound of mean CORR over all out-of-fold eras must lie above "
        "this. Too few eras for a bound: blocked.",
    )
    benchmark_history: bool = Field(
        True,
        description="The bounds of CORR and BMC make use of what the benchmark scored in eras before the judged ones: "
        "whether these were good or bad ones. Only where it covers all judged eras and its mean has not changed.",
    )
    bmc_bound: float | None = Field(
        -0.005,
        description="Certificate: the calibrated lower bound of mean BMC, where the benchmark covers, must lie above "
        "this. Empty: BMC must not be significantly negative.",
    )
    mmc_floor: float | None = Field(
        -0.005,
        description="Mean MMC must lie above this, and must not be significantly negative. Not judged where the meta "
        "model covers too few eras. Empty: both switched off.",
    )
    payout_bound: float | None = Field(
        None,
        description="Certificate: the calibrated lower bound of the mean payout of an era, where the meta model "
        "covers, must lie above this. Empty: not asked for; a hundred eras of a 60-day target rarely prove it.",
    )
    recent_eras: int | None = Field(
        52, ge=8, description="Alarm when the last so many eras are significantly worse than those before."
    )
    recent_confidence: float = Field(0.99, gt=0.5, lt=1, description="Confidence of the recent-window alarm.")
    max_drawdown: float | None = Field(
        0.5,
        gt=0,
        description="The largest fall of cumulative CORR, as a share of all that the judged eras gain; so it means the "
        "same for 20 and 60 days. At 0.5 a sound ensemble that has its certificate is stopped in at most a few of "
        "100 weeks.",
    )
    max_exposure: float | None = Field(
        0.7,
        gt=0,
        le=1,
        description="Mean over eras of the largest absolute correlation with any single feature. At 0.7 one feature "
        "explains half of the variance of the predictions.",
    )
    max_overfit: float | None = Field(
        0.25,
        gt=0,
        le=1,
        description="Cap: the probability of backtest overfitting (CSCV) over all configurations that were judged, "
        "this week and before. Blocks above it while the deflated Sharpe ratio is below gate.min_deflated.",
    )
    min_deflated: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Deflated Sharpe ratio of CORR, a probability, from which choices are no harm, whatever the "
        "probability of overfitting.",
    )
    champion_confidence: float | None = Field(
        0.95,
        gt=0.5,
        lt=1,
        description="Block when CORR is worse than the champion's on their common eras at this one-sided confidence.",
    )
    min_models: int = Field(1, ge=1, description="How many models must have been trained for a blend to be judged.")
    verdict_max_age_days: float = Field(
        6, gt=0, le=36_500, description="A verdict older than this cannot be submitted on."
    )
    champion_max_age_days: float = Field(
        60,
        gt=0,
        le=36_500,
        description="The same for the champion's own verdict when it is carried over to a later round.",
    )
    champion_warn_days: float = Field(
        14,
        ge=0,
        le=36_500,
        description="So many days before the champion is too old to be sent people are told, each time that it is.",
    )
