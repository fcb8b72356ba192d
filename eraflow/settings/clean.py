"""What is removed by itself when a week has ended."""

from __future__ import annotations

from pydantic import Field

from eraflow.settings.section import Section


class CleanSettings(Section):
    """Cleaning the home after each week. What is referenced always stays: see `eraflow clean`."""

    after_week: bool = Field(True, description="Remove what is too old when a week has ended, and say so in its log.")
    bulk_days: float = Field(
        14,
        ge=1,
        description="Age in days at which what can be made or fetched again goes: era stores of finished runs, binned "
        "data, finished folds, environments of rehearsals, rebuilt runs, downloads and generated data that nothing "
        "used since.",
    )
    keep_days: float = Field(
        180, ge=1, description="Age in days at which finished runs go whole, with their models and scores."
    )
    max_gb: float | None = Field(
        None, gt=0, description="Size of the home in GB; above it, the oldest goes first. Empty: no limit."
    )
