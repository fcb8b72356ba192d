"""One attempt at a stage: skip what is finished, plan from the ledger, run in a child, write the manifest.

This is where the folder (eraflow.store) and the machine (eraflow.machine) meet. It knows no Prefect: a task calls it
once per Prefect attempt, and the plan comes from the ledger on disk, never from Prefect's count, which restarts at one
after a flow retry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eraflow.errors import EraflowError
from eraflow.machine.failures import StageError
from eraflow.machine.isolate import Outcome, run_isolated
from eraflow.machine.ledger import Ledger
from eraflow.machine.plan import Plan, next_plan
from eraflow.machine.progress import Progress
from eraflow.machine.resources import first_plan, memory_budget_mb, probe
from eraflow.settings import MachineSettings
from eraflow.store import stage
from eraflow.store.codeversion import code_version
from eraflow.store.provenance import provenance


class StageExhaustedError(EraflowError):
    """Every plan that the ladder allows has failed. The text lists the attempts."""

    code = "stage_exhausted"


@dataclass(frozen=True)
class Work:
    """A stage to be done.

    Attributes:
        name: its folder in the run folder.
        target: the plain function, as `package.module:function`; it is called with `arguments`, `out` and `plan`.
        settings: what decides the result besides the inputs; part of the signature.
        inputs: name to signature of everything the stage reads.
        arguments: JSON keyword arguments, paths included; not part of the signature.
    """

    name: str
    target: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def signature(self) -> str:
        """The name of this work; changes with anything that can change its result."""
        module = self.target.split(":")[0]
        return stage.stage_signature(self.name, self.settings, self.inputs, code_version(module))


def attempt_stage(
    work: Work,
    run_dir: Path,
    machine: MachineSettings,
    *,
    log: Callable[[str], None],
    on_progress: Callable[[Progress], None] | None = None,
) -> stage.StageRecord:
    """Do `work` in `run_dir/work.name`, or return the record of the finished stage.

    Raises:
        StageError: this attempt failed; its kind says whether another one is worth it. The ledger has the line.
        StageExhaustedError: no plan is left.
        EraflowError: whatever named error the stage itself raised.
    """
    folder = run_dir / work.name
    done = stage.finished(folder, work.signature)
    if done is not None:
        log(f"{work.name} is finished already ({done.seconds:.0f} s of work kept)")
        return done
    stage.begin(folder, work.signature)
    ledger = Ledger(folder / stage.LEDGER)
    plan = _plan(work, ledger, folder, machine)
    outcome = _run(work, ledger, plan, folder, machine, log, on_progress)
    return stage.finish(
        folder,
        work.name,
        work.signature,
        metrics=outcome.value or {},
        seconds=outcome.seconds,
        peak_mb=outcome.peak_mb,
        attempts=len(ledger.rows),
        provenance=provenance(),
    )


def _plan(work: Work, ledger: Ledger, folder: Path, machine: MachineSettings) -> Plan:
    failures = ledger.failures()
    plan = next_plan(first_plan(probe(folder), machine), failures)
    if plan is None or len(failures) >= machine.attempts:
        ledger.close()  # the next run of this stage starts a new ladder: by then something may have changed
        kinds = ", ".join(failures)
        raise StageExhaustedError(
            f"{work.name} failed {len(failures)} times ({kinds}) and no smaller plan is left",
            f"see {folder / 'stage.log'} and the attempts in {folder / stage.LEDGER}; raise machine.memory_mb, "
            "choose a smaller feature set or close other programs, then run again",
        )
    return plan


def _run(
    work: Work,
    ledger: Ledger,
    plan: Plan,
    folder: Path,
    machine: MachineSettings,
    log: Callable[[str], None],
    on_progress: Callable[[Progress], None] | None,
) -> Outcome:
    budget = memory_budget_mb(probe(folder), machine)
    attempt = ledger.start(plan)
    try:
        outcome = run_isolated(
            work.target,
            {**work.arguments, "out": str(folder), "plan": plan.as_dict()},
            memory_mb=budget,
            timeout_s=machine.stage_minutes * 60,
            log=log,
            on_progress=on_progress,
            folder=folder,
        )
    except StageError as error:
        ledger.finish(attempt, error.kind, peak_mb=error.peak_mb, seconds=error.seconds, error=str(error))
        raise
    except EraflowError as error:
        ledger.finish(attempt, "error", peak_mb=None, seconds=None, error=str(error))
        raise
    ledger.finish(attempt, "ok", peak_mb=outcome.peak_mb, seconds=outcome.seconds, error=None)
    return outcome
