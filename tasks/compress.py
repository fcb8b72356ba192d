"""Learn a latent code of the features, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from prefect import get_run_logger, task

from eraflow.data.membereras import Member
from eraflow.machine.estimate import COSTS, Need
from eraflow.runs.attempt import Work
from eraflow.runs.stage import StageRecord
from eraflow.runs.weekrecord import CODE, note_lost
from models.compression.codedstore import LearnedCode
from models.compression.job import CodeJob, CodeRecipe
from models.compression.stage import LIVE
from tasks.alert import tell_people
from tasks.features import Features
from tasks.pages.codepage import show_code
from tasks.run import Run
from tasks.stage import STAGE_TASK, record_or_loss, run_stage


def compress(run: Run, features: Features) -> StageRecord | None:
    """The code of every window and of live, or None when models learn from the features as they are.

    A code that failed for good costs itself, not the week: the models then learn from the features, and that is told.

    Raises:
        LatentCollapseError: the code says nothing of the features, which is a matter of the settings.
        SettingsError: another setting is wrong.
    """
    if run.settings.data.code == "none":
        return None
    outcome = record_or_loss(_compress(run, features, return_state=True))
    if isinstance(outcome, StageRecord):
        return outcome
    note_lost(run.path, CODE, outcome)
    get_run_logger().error("the code is lost, models learn from the features: %s", outcome)
    tell_people(run, "Eraflow: the code of the features is lost, models learn from the features", f"{outcome}")
    return None


@task(name=CODE, task_run_name=CODE, **STAGE_TASK)
def _compress(run: Run, features: Features) -> StageRecord:
    job = code_job(run, features)
    inputs = {"features": features.record.signature}
    record = run_stage(run, Work(CODE, "models.compression.stage:learn_codes", job, inputs, code_need(features, job)))
    show_code(record)
    get_run_logger().info("code of %d numbers: %s", record.metrics["size"], code_in_words(record))
    return record


def code_job(run: Run, features: Features) -> CodeJob:
    """What the stage takes."""
    asked = run.settings.data
    recipe = CodeRecipe(
        size=asked.code_size,
        hidden=tuple(asked.code_hidden),
        updates=asked.code_updates,
        beta=asked.code_beta,
        warmup=asked.code_warmup,
    )
    return CodeJob(
        windows=features.windows,
        final_eras=features.training_eras,
        spans=spans_of(features, list(features.members.values())),
        recipe=recipe,
        groups=dict(features.groups),
        seed=run.settings.seed,
        store=features.store,
    )


def spans_of(features: Features, members: Sequence[Member]) -> tuple[tuple[str, str], ...]:
    """First and last era, for each window and then for live, of what some member learns from or is judged on."""
    spans = []
    for position, window in enumerate(features.windows):
        first = min(window.train[0], *(member.windows[position].train[0] for member in members))
        spans.append((first, window.test[-1]))
    finals = [features.training_eras, *(member.final_eras for member in members)]
    return (*spans, (min(eras[0] for eras in finals), max(eras[-1] for eras in finals)))


def learned_code(run: Run, job: CodeJob, record: StageRecord) -> LearnedCode:
    """The codes as members use them."""
    labels = (*(str(window.index) for window in job.windows), LIVE)
    use = run.settings.data.code_use
    return LearnedCode(use=use, size=job.recipe.size, labels=labels, spans=job.spans, folder=record.path)


def code_need(features: Features, job: CodeJob) -> Need:
    """The rows of live, the weights of both halves, and the codes of all windows on the disk."""
    stored = features.record.metrics
    per_era = stored["rows"] / max(stored["eras"], 1)
    eras = [int(last) - int(first) + 1 for first, last in job.spans]
    columns = int(stored["features"])
    halves = sum(before * after for before, after in pairwise([columns, *job.recipe.hidden]))
    return Need(
        CODE,
        rows=round(per_era * len(job.final_eras)),
        columns=columns,
        eras=len(job.final_eras),
        judged=round(per_era * sum(eras)),
        weights=2 * halves + 3 * job.recipe.hidden[-1] * job.recipe.size,
        cost=replace(COSTS[CODE], disk_judged=job.recipe.size),
    )


def code_in_words(record: StageRecord) -> str:
    """How many units of each window are active, and what they tell out of sample."""
    return ", ".join(
        f"window {told['window']} {told['active']} of {told['units']} units active"
        + ("" if told["explained"] is None else f", {told['explained']:.1%} of the variance out of sample")
        for told in record.metrics["windows"]
    )
