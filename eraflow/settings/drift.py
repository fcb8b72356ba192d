"""What is looked at when a week is sent: whether the live era, and the predictions of it, are like those before."""

from __future__ import annotations

from pydantic import Field

from eraflow.settings.section import Section


class DriftSettings(Section):
    """Alarms about the live era. None of them stops a week."""

    enabled: bool = Field(True, description="Look at the live era after it was predicted.")
    error_rate: float = Field(
        0.01,
        gt=0,
        le=0.5,
        description="In at most this share of ordinary weeks any feature at all is said to behave unlike ever before. "
        "Fewer past eras than are needed to say so: the least rate that they allow.",
    )
    eras: int = Field(260, ge=20, le=10_000, description="Past eras that the live one is compared with, the newest.")
    least_correlation: float | None = Field(
        0.5,
        ge=-1,
        le=1,
        description="Alarm when this week's predictions and those of the champion before it, both of this live era, "
        "correlate less. Empty: no alarm.",
    )
