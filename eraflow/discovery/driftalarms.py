"""What people are told about a live era."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eraflow.settings.drift import DriftSettings

NAMED = 5
"""Features that a message names."""


def drift_alarms(found: Mapping[str, Any], settings: DriftSettings) -> list[str]:
    """What people are to be told, a sentence each; nothing in an ordinary week.

    Args:
        found: what the stage told.
        settings: when the correlation with the week before is too low.
    """
    alarms = []
    if found["unlike_before"]:
        rows = found["unlike_before"][:NAMED]
        named = ", ".join(f"{row['feature']} ({row['figure']} {row['now']:g}, not {row['usual']:g})" for row in rows)
        more = f" and {found['unlike'] - len(rows)} more" if found["unlike"] > len(rows) else ""
        alarms.append(
            f"{found['unlike']} features behave in the live era unlike in any of {found['past_eras']} eras before: "
            f"{named}{more}. By chance any is named in {found['error_rate']:.1%} of weeks; look whether the data are "
            "sound, or leave them out with data.features"
        )
    least, corr = settings.least_correlation, found["previous_corr"]
    if least is not None and corr is not None and corr < least:
        alarms.append(
            f"this week's predictions correlate {corr:.2f} with those of the ensemble before, on the same live era; "
            f"drift.least_correlation is {least:g}: look at what has changed"
        )
    return alarms
