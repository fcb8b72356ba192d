"""The tables of `eraflow score`."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Group, RenderableType

from eraflow.scoring.scorefile import FileScores, InSample
from eraflow.scoring.scoring import ModelScores
from flows.command.starting.summary import figure, interval
from flows.command.terminal.printing import command, table, words

ERAS_SHOWN = 6


def score_tables(found: FileScores, options: str) -> list[RenderableType]:
    """The tables, what each is worth as evidence, and what was not scored.

    Args:
        found: the scores.
        options: of the command that was typed, for one to copy.
    """
    return [*_sections(found, options), words("\n".join([_coverage(found), *_unscored(found)]))]


def _sections(found: FileScores, options: str) -> list[RenderableType]:
    """A table, or two where eras are in-sample; the record says the same (`in_sample`, `origin_known`)."""
    apart = found.in_sample
    parts = _table(found.scores)
    if apart is not None:
        return parts + _in_sample(apart, found.origin.oof_file, options, alone=not parts)
    if found.origin.out_of_fold:
        parts.append(words("out of fold: each era was predicted by models that had not learned from it"))
    elif not found.origin.known:
        parts.append(words("which eras the models learned from is unknown: these scores may be in-sample"))
    return parts


def _in_sample(apart: InSample, oof_file: str | None, options: str, *, alone: bool) -> list[RenderableType]:
    """The scores that are no evidence of skill, named so, and where honest ones are."""
    eras = sorted([*apart.learned, *apart.overlapping], key=int)
    title = f"in-sample, no evidence of skill: {len(eras)} eras, {eras[0]} to {eras[-1]}"
    reasons = [f"the models learned from {len(apart.learned)} of them"]
    if apart.overlapping:
        reasons.append(f"labels of {len(apart.overlapping)} overlap with those they learned")
    there = oof_file is not None and Path(oof_file).is_file()
    honest = (
        command(f"eraflow score {shlex.quote(str(oof_file))} {options}")
        if there
        else command("those of blend/oof.parquet in the folder of the run")
    )
    return [
        words("no era that is out of sample has a score" if alone else "the eras above are out of sample"),
        Group(words(title, "bold yellow"), words(f"({'; '.join(reasons)})")),
        *_table(apart.scores),
        Group(words("honest scores of past eras:"), honest),
    ]


def _unscored(found: FileScores) -> list[str]:
    """What has no figure, and why; the record says the same (`unscored_eras`, `absent`)."""
    lines = []
    apart = found.in_sample.scores.unscored_eras if found.in_sample else ()
    if eras := (*found.scores.unscored_eras, *apart):
        shown = ", ".join(eras[:ERAS_SHOWN]) + (", ..." if len(eras) > ERAS_SHOWN else "")
        these = "1 era is not scored, its" if len(eras) == 1 else f"{len(eras)} eras are not scored, their"
        lines.append(f"{these} predictions are constant or missing: {shown}")
    return lines + [f"no {metric}: {reason}" for metric, reason in found.absent.items()]


def _coverage(found: FileScores) -> str:
    """How many rows were scored, and what does not fit."""
    text = f"{found.rows} predictions scored"
    if found.unknown_ids:
        text += f"; {found.unknown_ids} left out, their ids are in no resolved era of the folder"
    if found.not_finite:
        text += f"; {found.not_finite} are empty, NaN or infinite, which is no prediction"
    if found.missing_rows:
        text += f"; {found.missing_rows} rows of the scored eras have no prediction"
    return text


def _table(scores: ModelScores) -> list[RenderableType]:
    """A row a metric, and below what the bounds are and which eras they rest on."""
    summary = scores.summary
    if not summary:
        return []
    rows = [
        (
            name,
            figure(each.mean),
            interval(each.as_dict()),
            figure(each.std),
            figure(each.sharpe, 2),
            figure(each.max_drawdown, 3),
            str(each.eras),
        )
        for name, each in summary.items()
    ]
    spans: dict[tuple[str | None, str | None], list[str]] = {}
    for name, each in summary.items():
        spans.setdefault((each.first_era, each.last_era), []).append(name)
    eras = "; ".join(f"{first} to {last} for {', '.join(names)}" for (first, last), names in spans.items())
    confidence = next(iter(summary.values())).confidence
    return [
        table(("metric", "mean", "bounds", "std", "Sharpe", "drawdown", "eras"), rows),
        words(f"Bounds are one-sided, {confidence:.0%} each. Eras {eras}."),
    ]
