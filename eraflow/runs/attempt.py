"""One attempt at a stage: skip what is finished, plan from the ledger, run in a child, write the manifest.

This is where the folder (`stage`) and the machine (`eraflow.machine`) meet. It knows no Prefect: a task calls it
once per Prefect attempt, and the plan comes from the ledger on disk, never from Prefect's count, which restarts at one
after a flow retry.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from eraflow.errors import EraflowError
from eraflow.machine.budget import FOLDER as BUDGET
from eraflow.machine.budget import Budget, Lease
from eraflow.machine.estimate import Need
from eraflow.machine.failures import REMEDIES, StageError
from eraflow.machine.isolate import IsolatedResult, run_isolated
from eraflow.machine.job import as_json, decided
from eraflow.machine.ledger import HAPPENED, Ledger
from eraflow.machine.plan import FailureKind, Plan, next_plan
from eraflow.machine.progress import Progress
from eraflow.machine.resources import MIN_MEMORY_MB, Resources, disk_floor_mb, probe, roomiest_plan
from eraflow.machine.shortage import wait_out
from eraflow.runs import stage
from eraflow.runs.codeversion import code_version
from eraflow.runs.expectation import expectation, require_disk
from eraflow.runs.onlookers import News, ReportedCeiling, tell
from eraflow.runs.provenance import provenance
from eraflow.settings.machine import MachineSettings

MEMORY_KINDS = ("oom", "abort", "killed", "interrupted")


class StageExhaustedError(EraflowError):
    """Every plan that the ladder allows has failed. The text lists the attempts."""

    code = "stage_exhausted"


@dataclass(frozen=True)
class Work:
    """A stage to be done.

    Attributes:
        name: its folder in the run folder.
        target: the plain function, as `package.module:function`; it is called with `job`, `out` and `plan`.
        job: what it takes, a dataclass as `eraflow.machine.job` tells; its fields say what is part of the signature.
        inputs: name to signature of everything the stage reads.
        need: the size of the work, for the first plan; None when it is not known. Not part of the signature.
        credentials: names of the variables with a password that it needs; the others are kept from it.
        learners: classes of the models that it makes or loads, as `eraflow.kinds` has them; their code decides, too.
    """

    name: str
    target: str
    job: Any
    inputs: Mapping[str, str] = field(default_factory=dict)
    need: Need | None = None
    credentials: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()

    @cached_property
    def signature(self) -> str:
        """The name of this work; changes with anything that can change its result."""
        code = code_version(self.target, self.learners)
        return stage.stage_signature(self.name, decided(self.job), self.inputs, code)


def attempt_stage(
    work: Work,
    run_dir: Path,
    machine: MachineSettings,
    *,
    log: Callable[[str], None],
    on_progress: Callable[[Progress], None] | None = None,
    home: Path | None = None,
) -> stage.StageRecord:
    """Do `work` in `run_dir/work.name`, or return the record of the finished stage.

    Args:
        work: what to do.
        run_dir: folder of the run.
        machine: what of the computer may be used.
        log: takes lines of text.
        on_progress: takes about two `Progress` a second.
        home: its runs share one memory budget, and their peaks correct the estimate; None: this run alone.

    Raises:
        StageError: this attempt failed; its kind says whether another one is worth it. The ledger has the line.
        StageExhaustedError: no plan is left.
        BudgetBusyError, NotEnoughMemoryError: the memory is in use elsewhere; nothing was begun.
        EraflowError: whatever named error the stage itself raised.
    """
    folder = run_dir / work.name
    done = stage.finished(folder, work.signature)
    if done is not None:
        log(f"{work.name} is finished already ({done.seconds:.0f} s of work kept)")
        tell(News(work.name, "kept", seconds=done.seconds, memory_mb=done.peak_mb))
        return done
    stage.begin(folder, work.signature)
    tell(News(work.name, label="getting ready"))
    ledger = Ledger(folder / stage.LEDGER)
    resources = probe(folder)
    expected = expectation(work.need, resources, machine, home=home, run_dir=run_dir)
    require_disk(expected, work.name, folder, resources, machine)
    asked = _next(work, ledger, folder, resources, machine)
    budget = Budget((home or run_dir) / BUDGET, machine.memory_mb)
    wait_seconds = machine.wait_minutes * 60
    with budget.acquire(expected.least_mb(asked), name=work.name, log=log, wait_s=wait_seconds) as lease:
        plan = expected.fit(asked, lease)
        wait_out(MIN_MEMORY_MB, plan.threads, name=work.name, log=log, wait_s=wait_seconds)
        log(f"{work.name}: attempt {1 + len(ledger.rows)}, {expected.words(plan, lease.limit_mb)}")
        outcome = _run(work, ledger, plan, lease, folder, machine, log, on_progress)
    return stage.finish(
        folder,
        work.name,
        work.signature,
        metrics=outcome.value or {},
        seconds=outcome.seconds,
        peak_mb=outcome.peak_mb,
        attempts=len(ledger.rows),
        provenance=provenance(),
        estimate=expected.record(plan),
    )


def _next(work: Work, ledger: Ledger, folder: Path, resources: Resources, machine: MachineSettings) -> Plan:
    """The plan that the ladder asks for, before it is fitted to the budget."""
    failures, fresh = ledger.failures(), roomiest_plan(resources, machine)
    plan = next_plan(_began_with(ledger, failures, fresh), failures)
    if plan is None or len(failures) >= machine.attempts:
        error = _exhausted(work, ledger, failures, folder)
        ledger.close()  # the next run of this stage starts a new ladder: by then something may have changed
        raise error
    return plan


def _began_with(ledger: Ledger, failures: list[FailureKind], fresh: Plan) -> Plan:
    """The first plan of this ladder: the one that was tried first, within what the settings and the computer give now.

    Not a new estimate: the steps since then count from what was really tried.
    """
    if not failures:
        return fresh
    tried = {name: value for name, value in ledger.rows[-len(failures)]["plan"].items() if name in fresh.as_dict()}
    first = Plan(**tried)
    return replace(
        first,
        threads=min(first.threads, fresh.threads),
        device=first.device if fresh.device == "cuda" else "cpu",
    )


def _smaller_is_left(ledger: Ledger, plan: Plan, machine: MachineSettings) -> bool:
    """Whether a stage that is ended for its memory now would be tried again with less."""
    failures: list[FailureKind] = [*ledger.failures()[:-1], "oom"]  # the last row is the attempt that is under way
    following = next_plan(_began_with(ledger, failures, plan), failures)
    return following is not None and following != plan and len(failures) < machine.attempts


def _exhausted(work: Work, ledger: Ledger, failures: list[FailureKind], folder: Path) -> StageExhaustedError:
    """Every attempt of this ladder in the text: what was tried, what happened, what it took."""
    rows = ledger.rows[-len(failures) :] if failures else []
    lines = [
        f"({row['attempt']}) {row['changed']}: {HAPPENED.get(row['kind'], row['kind'])}"
        + ("" if row["peak_mb"] is None else f", peak {row['peak_mb']:,.0f} MiB")
        + ("" if row["seconds"] is None else f", {row['seconds']:.0f} s")
        for row in rows
    ]
    last = failures[-1] if failures else "error"
    memory = "raise machine.memory_mb, choose a smaller feature set or close other programs"
    remedy = memory if last in MEMORY_KINDS else REMEDIES.get(last, "read the log there and correct the cause")
    return StageExhaustedError(
        f"{work.name} failed {len(failures)} times ({', '.join(failures)}) and no other plan is left: "
        + "; ".join(lines),
        f"see {folder / 'stage.log'} and the attempts in {folder / stage.LEDGER}; {remedy}, then run again",
    )


def _run(
    work: Work,
    ledger: Ledger,
    plan: Plan,
    lease: Lease,
    folder: Path,
    machine: MachineSettings,
    log: Callable[[str], None],
    on_progress: Callable[[Progress], None] | None,
) -> IsolatedResult:
    attempt = ledger.start(plan)
    try:
        outcome = run_isolated(
            work.target,
            {"job": as_json(work.job), "out": str(folder), "plan": plan.as_dict()},
            memory_mb=ReportedCeiling(work.name, lease.ceiling_mb),
            timeout_s=machine.stage_minutes * 60,
            log=log,
            on_progress=_told(work.name, on_progress),
            folder=folder,
            env={name: os.environ[name] for name in work.credentials if name in os.environ},
            disk_floor_mb=disk_floor_mb(probe(folder), machine) or None,
            vram_mb=machine.vram_mb,
            smaller_plan=_smaller_is_left(ledger, plan, machine),
        )
    except StageError as error:
        ledger.finish(attempt, error.kind, peak_mb=error.peak_mb, seconds=error.seconds, error=str(error))
        tell(News(work.name, "failed", label=error.kind, seconds=error.seconds))
        raise
    except EraflowError as error:
        kind = getattr(error, "kind", "error")
        ledger.finish(attempt, kind, peak_mb=None, seconds=None, error=str(error))
        tell(News(work.name, "failed", label=kind))
        raise
    ledger.finish(attempt, "ok", peak_mb=outcome.peak_mb, seconds=outcome.seconds, error=None)
    tell(News(work.name, "finished", seconds=outcome.seconds, memory_mb=outcome.peak_mb))
    return outcome


def _told(step: str, on_progress: Callable[[Progress], None] | None) -> Callable[[Progress], None]:
    """Progress for the onlookers, and for whoever asked for it."""

    def show(progress: Progress) -> None:
        tell(News(step, fraction=progress.fraction, label=progress.label, seconds_left=progress.seconds_left))
        if on_progress is not None:
            on_progress(progress)

    return show
