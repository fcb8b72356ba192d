"""What people look at of the code of the features: what it tells of them, by window, group and block of eras."""

from __future__ import annotations

import polars as pl
from prefect.artifacts import create_markdown_artifact

from eraflow.discovery.drift import block_of
from eraflow.disk.plainpaths import read_csv
from eraflow.reports.markdown import markdown_table
from eraflow.runs.stage import StageRecord
from models.compression.stage import ERAS, FIGURES, GROUPS
from tasks.pages.artifacts import shown

NAMED = {"explained": "variance explained", "divergence": "KL, nats"}


def show_code(record: StageRecord) -> None:
    """How much of the features the code tells, out of sample, at what divergence from a standard normal."""
    text = code_page(record)
    shown(lambda: create_markdown_artifact(text, key="code", description="Latent code of the features"))


def code_page(record: StageRecord) -> str:
    """The page as markdown."""
    windows = record.metrics["windows"]
    told = [
        [
            one["window"],
            f"{one['active']} of {one['units']}",
            one["explained"],
            one["divergence"],
            one["explained_learnt"],
            one["divergence_learnt"],
            one["updates"],
        ]
        for one in windows
    ]
    heads = ["window", "active units", *NAMED.values(), "explained, rows learnt from", "KL there", "updates"]
    return (
        f"{_partly_collapsed(record)}Share of the variance of the features that the decoder reads from the code of "
        "eras that it was not learnt from, and the code's Kullback-Leibler divergence from a standard normal. A unit "
        f"is active above 0.01 nats.\n\n{markdown_table(heads, told)}\n\nBy group of features, mean of the windows; KL "
        "is what the code loses when the group has its middle value everywhere:\n\n"
        f"{_table(read_csv(record.path / GROUPS), 'group', ['features', *FIGURES])}\n\nBy block of judged eras "
        f"(each era: `{record.name}/{ERAS}` in the folder of the run):\n\n{_blocks(record)}"
    )


def _partly_collapsed(record: StageRecord) -> str:
    """A line where units say nothing; where all do, the stage has failed."""
    lacking = [one for one in record.metrics["windows"] if one["active"] < one["units"]]
    if not lacking:
        return ""
    named = ", ".join(f"window {one['window']} {one['active']} of {one['units']}" for one in lacking)
    return (
        f"**Partly collapsed**: some units say nothing of the features and have the middle level everywhere ({named} "
        "active). A smaller `data.code_size`, or a lower `data.code_beta`, wastes none.\n\n"
    )


def _blocks(record: StageRecord) -> str:
    eras = read_csv(record.path / ERAS, text=["era"])
    blocks = [block_of(era) for era in eras["era"].to_list()]
    return _table(eras.with_columns(pl.Series("eras", blocks)), "eras", list(FIGURES))


def _table(frame: pl.DataFrame, by: str, names: list[str]) -> str:
    means = frame.group_by(by, maintain_order=True).agg(pl.col(name).mean() for name in names)
    rows = [list(row) for row in means.iter_rows()]
    return markdown_table([by, *(NAMED.get(name, name) for name in names)], rows)
