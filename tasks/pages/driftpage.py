"""What people see of the live era: features unlike before, exposure of the predictions, and the week before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.artifacts import create_markdown_artifact

from eraflow.reports.markdown import markdown_table
from tasks.pages.artifacts import shown


def show_drift_of_live(found: Mapping[str, Any]) -> None:
    """The page of the live era."""
    exposure = found["exposure"]
    corr = found["previous_corr"]
    lines = [
        f"{found['rows']:,} rows. Largest exposure to one feature {exposure['max']:.3f}, root mean square over all "
        f"{exposure['rms']:.3f}.",
        "There is no ensemble before this one to compare with."
        if corr is None
        else f"Rank correlation with the predictions of the ensemble before, of the same rows: **{corr:.3f}**.",
        markdown_table(["feature", "exposure"], [list(row) for row in exposure["features"].items()]),
        _unlike(found),
    ]
    text = "\n\n".join(lines)
    shown(lambda: create_markdown_artifact(text, key="drift", description="The live era"))


def _unlike(found: Mapping[str, Any]) -> str:
    if found["error_rate"] is None:
        return f"With {found['past_eras']} past eras nothing can be said about features unlike before."
    rate = f"by chance any is named in {found['error_rate']:.1%} of ordinary weeks"
    past = f"{found['past_eras']} eras {found['first_era']} to {found['last_era']}"
    if not found["unlike_before"]:
        return f"No feature behaves unlike in {past} ({rate})."
    columns = ("feature", "figure", "usual", "now", "score", "p_value")
    heads = ["feature", "figure", "usual", "now", "times the most before", "p of all"]
    table = markdown_table(heads, [[row[name] for name in columns] for row in found["unlike_before"]])
    return f"{found['unlike']} features behave unlike in {past} ({rate}):\n\n{table}"
