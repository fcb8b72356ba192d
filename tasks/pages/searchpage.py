"""What people look at of a search: its course, the parameters that decide, the confirmation; and its MLflow runs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact

from eraflow.errors import EraflowError
from eraflow.reports.markdown import markdown_table, png_markdown
from eraflow.reports.searchcharts import course_chart, importance_chart
from eraflow.runs.rundir import RunLockedError, locked
from eraflow.runs.stage import StageRecord
from eraflow.runs.weekrecord import timed
from eraflow.tracking.tracking import ChildRun
from tasks.pages.artifacts import artifact_key, shown
from tasks.register import tracker
from tasks.run import Run

SHOWN = 12
FIGURES = ("value", "score", "corr", "training_corr", "trees", "pressure", "penalty", "floor")
RECORDING = "search/recording"
PATIENCE_SECONDS = 300.0


def show_search(report: Mapping[str, Any]) -> None:
    """One version of the page of a model's search."""
    shown(
        lambda: create_markdown_artifact(
            search_page(report), key=artifact_key("search", report["name"]), description=f"Search, {report['name']}"
        )
    )


def search_page(report: Mapping[str, Any]) -> str:
    """The page: the result in words, confirmation, course, importance, the best trials, the space with its reasons."""
    name = report["name"]
    ylabel = "CORR less penalty" if report["objective"]["against"] is None else "payout mix less penalty"
    course = course_chart(report["course"], title=f"Search for {name}", ylabel=ylabel)
    importance = importance_chart(report["importance"], title="Importance of parameters (PED-ANOVA)")
    parts = [
        f"# {name}: {in_words(report)}",
        "## Confirmation, on eras that no trial saw",
        _confirmation(report),
        "## Course",
        png_markdown(course, f"Course of the search for {name}"),
        "## What decides",
        png_markdown(importance, "Importance of parameters"),
        "## The best trials",
        _best(report),
        "## The space",
        markdown_table(
            ["parameter", "from", "to", "scale", "why"],
            [
                [one["parameter"], f"{one['from']:.4g}", f"{one['to']:.4g}", "log" if one["log"] else "", one["why"]]
                for one in report["space"]
            ],
        ),
    ]
    return "\n\n".join(parts)


def in_words(report: Mapping[str, Any]) -> str:
    """The result in a line."""
    eras = report["eras"]
    told = f"{report['trials']} trials, confirmed on {eras['count']} eras {eras['first']} to {eras['last']}: "
    if report["kept"] == "defaults":
        return told + "the defaults are kept, no finalist did better there"
    compared = report["confirmation"][report["winner"]]["against_defaults"]
    return told + f"{report['confirmation'][report['winner']]['label']} is kept, {_difference(compared)}"


def _difference(compared: Mapping[str, Any]) -> str:
    return (
        f"{compared['difference']:+.4f} against the defaults ({_figure(compared['low'])} to "
        f"{_figure(compared['high'])}): {compared['verdict']}"
    )


def _confirmation(report: Mapping[str, Any]) -> str:
    rows = [
        [
            row["label"],
            _figure(row["mean"]),
            f"{_figure(row['low'])} to {_figure(row['high'])}",
            "" if row["against_defaults"] is None else _difference(row["against_defaults"]),
            _figure(row["value"]),
        ]
        for row in report["confirmation"]
    ]
    headers = ["parameters", "score", "interval", "against the defaults", "value in the search"]
    note = (
        "The best of several was chosen here, so its own score is a little flattered. The intervals against the "
        "defaults are wide enough for as many comparisons as there are."
    )
    return f"{markdown_table(headers, rows)}\n\n{note}"


def _best(report: Mapping[str, Any]) -> str:
    complete = [line for line in report["course"] if line["value"] is not None]
    names = [one["parameter"] for one in report["space"]]
    best = sorted(complete, key=lambda line: -line["value"])[:SHOWN]
    headers = ["trial", "value", "CORR", "training CORR", "trees", *names]
    rows = [
        [
            line["trial"],
            *(_figure(line[name]) for name in ("value", "corr", "training_corr")),
            line["trees"],
            *(f"{line['params'][name]:.4g}" if name in line["params"] else "default" for name in names),
        ]
        for line in best
    ]
    return markdown_table(headers, rows)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def track_search(run: Run, record: StageRecord, report: Mapping[str, Any]) -> None:
    """One MLflow run for the search and one below it for each trial. A failure is logged and costs nothing."""
    if not run.settings.tracking.enabled:
        return
    try:
        # Two processes that share a search would otherwise take each other's unfinished runs for a dead one's.
        with timed(run.path, f"track-{record.name}"), _alone(run.settings.home_path / RECORDING):
            _track(run, record, report)
    except EraflowError as error:
        get_run_logger().error("%s", error)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`; wait for whoever holds it, some minutes at the most."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(folder))
                break
            except RunLockedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1.0)
        yield


def _track(run: Run, record: StageRecord, report: Mapping[str, Any]) -> None:
    book = tracker(run)
    tags = {"run_dir": str(run.path), "signature": record.signature, "study": report["study"]}
    with book.run(record.name, kind="search", tags=tags) as parent:
        parent.log_settings({"search": run.settings.search.model_dump(mode="json"), "kept": report["params"]})
        parent.log_metrics({name: _number(value) for name, value in record.metrics.items()})
        parent.log_files(record.path / "search.json")
        seconds = record.metrics.get("trial_seconds", [])
        book.log_children(parent, [_child(line, seconds) for line in report["course"]])


def _child(line: Mapping[str, Any], seconds: list[float]) -> ChildRun:
    place = line["trial"] - 1
    return ChildRun(
        name=f"trial {line['trial']}",
        kind="trial",
        params=line["params"],
        metrics={
            **{name: _number(line[name]) for name in FIGURES},
            "seconds": seconds[place] if place < len(seconds) else None,
        },
        curve={int(step): value for step, value in line["reported"].items()},
        tags={"origin": line["origin"], "state": line["state"], "note": line["note"] or None},
        status="FINISHED" if line["state"] == "complete" else "KILLED",
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
