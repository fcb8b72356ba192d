"""How features are selected before a model is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eraflow.settings.section import Section


class SelectionSettings(Section):
    """Feature selection, on the training eras of each window only."""

    method: Literal["none", "association", "invariant"] = Field(
        "none",
        description="none: all features of the set. association: those associated with the target era by era, with a "
        "stable sign and a controlled false-discovery rate. invariant: of these, those whose association is the same "
        "in every block of eras once the others are known.",
    )
    false_discovery_rate: float = Field(
        0.1, gt=0, le=0.5, description="Expected share of false features among those kept."
    )
    correction: Literal["bh", "by"] = Field(
        "bh",
        description="How that share is controlled. bh: Benjamini-Hochberg. by: Benjamini-Yekutieli, which holds under "
        "any dependence between features and keeps far fewer.",
    )
    sign_stability: float = Field(
        0.5, ge=0.5, le=1, description="Share of the eras in which the association must have the same sign."
    )
    environments: int = Field(4, ge=2, le=50, description="Blocks of neighbouring eras for the invariance test.")
    invariance_level: float = Field(
        0.05, gt=0, lt=1, description="Significance level at which a feature counts as not invariant."
    )
    most: int | None = Field(
        None, ge=2, description="Keep at most so many features, the strongest. Empty: all that pass."
    )
    least: int = Field(
        20, ge=2, description="Keep at least so many, the strongest, whatever the tests say; never more than `most`."
    )
    importance_rows: int = Field(
        400,
        ge=0,
        le=100_000,
        description="Rows of each block of judged eras on which a model's SHAP and permutation importance are "
        "measured. 0: no importance is measured.",
    )
    models: list[str] = Field(default_factory=list, description="Models that use the selection. Empty: all.")
