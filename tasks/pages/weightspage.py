"""What the members weigh, where that is learnt: the curve over the eras, the weights of now, what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact

from eraflow.disk.plainpaths import read_parquet
from eraflow.reports.charts import weights_chart
from eraflow.reports.markdown import markdown_table, png_markdown
from eraflow.reports.weekreport import learnt_in_words
from tasks.pages.artifacts import page_key, shown


def show_weights(weights: Path, metrics: dict[str, Any]) -> None:
    """The page of the blend.

    Args:
        weights: parquet with era and a column a member.
        metrics: of the stage that blended.
    """
    text = weights_text(weights, metrics)
    shown(
        lambda: create_markdown_artifact(
            text, key=page_key("weights"), description="What the members weigh, from the past alone"
        )
    )


def weights_text(weights: Path, metrics: dict[str, Any]) -> str:
    """Markdown: the picture, the table and the sentences."""
    frame, learnt = read_parquet(weights), metrics["learnt"]
    eras = frame["era"].to_list()
    png = weights_chart({name: (eras, frame[name].to_list()) for name in metrics["members"]})
    candidate = learnt.get("candidate", metrics["weights"])
    rows = [
        [name, f"{live:.3f}", f"{wanted:.3f}", f"{frame[name].mean():.3f}"]
        for name, live, wanted in zip(metrics["members"], metrics["weights"], candidate, strict=True)
    ]
    table = markdown_table(["member", "live", "what was found", "mean of the judged eras"], rows)
    return f"{png_markdown(png, 'Weights')}\n\n{table}\n\nMethod `{metrics['method']}`. {learnt_in_words(learnt)}"
