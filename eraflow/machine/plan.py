"""How one attempt of a stage uses the machine, and which plan follows a failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

Device = Literal["cpu", "cuda"]
Precision = Literal["float32", "bfloat16", "float16"]
FailureKind = Literal[
    "oom",
    "vram",
    "nan",
    "diverged",
    "stalled",
    "timeout",
    "killed",
    "abort",
    "segfault",
    "gpu_lost",
    "interrupted",
    "disk_full",
    "error",
]
FAILURE_KINDS: frozenset[FailureKind] = frozenset(get_args(FailureKind))

# What another plan, or the same one once more, may cure. The other kinds end the attempts at once: an exception comes
# again, and a full disk is made free by a person.
RETRIED_KINDS: frozenset[FailureKind] = FAILURE_KINDS - {"error", "disk_full"}

MIN_BATCH_ROWS = 256
MIN_ROWS_IN_MEMORY = 8_192
RATE_STEP = 0.3
MIN_RATE_FACTOR = RATE_STEP**4  # a learning rate less than a hundredth of the chosen one is no cure but another model
FIRST_CLIP_NORM = 1.0
MAX_STALLED_STEPS = 2  # a plateau is seldom the fault of the rate: two tries, then it is named
MIN_WORK_FACTOR = 0.25  # with less, the member is not the one that was asked for


@dataclass(frozen=True)
class Plan:
    """How a stage uses the machine in one attempt.

    `threads`, `rows_in_memory`, `batch_rows` and `low_memory` change speed and memory, never what is learnt.
    `rate_factor`, `clip_norm`, `precision` and `work_factor` change the result; models record them.

    Attributes:
        threads: worker threads of the numerical library.
        rows_in_memory: rows that are decoded or converted at once (the unit of every streaming step).
        batch_rows: rows that go through a torch model at once; an update may add up several such pieces.
        device: where the mathematics runs.
        precision: floating point type of the forward pass, for the torch models.
        rate_factor: multiplies the learning rate.
        low_memory: ask the library for its leanest way (fewer bins in flight, column-wise histograms, external memory).
        clip_norm: longer gradients are shortened to this norm, for the torch models; None leaves them as they are.
        work_factor: share of the trees or updates that are done.
    """

    threads: int = 2
    rows_in_memory: int = 262_144
    batch_rows: int = 16_384
    device: Device = "cpu"
    precision: Precision = "float32"
    rate_factor: float = 1.0
    low_memory: bool = False
    clip_norm: float | None = None
    work_factor: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values; `Plan(**values)` is the way back."""
        return asdict(self)


@dataclass(frozen=True)
class _Rung:
    """Where the ladder stands: the plan, the failures before the one to answer, and whether a crash was repeated."""

    plan: Plan
    earlier: tuple[FailureKind, ...] = ()
    crash_repeated: bool = False


def next_plan(plan: Plan, failures: Sequence[FailureKind]) -> Plan | None:
    """The plan to try after the given failures, or None when nothing is left to change.

    A pure fold: the same first plan and the same failures always give the same answer, so a new process that reads
    the ledger of a dead one goes on where that one stopped.

        oom, abort           half the rows and the batch, lean; half the threads; from the GPU to the CPU
        vram                 half the batch; bfloat16; from the GPU to the CPU (there: as oom)
        nan, diverged        full precision; then 0.3 of the rate and tighter clipping, four times
        stalled              0.3 of the rate and tighter clipping, twice
        timeout              the same plan, from its last checkpoint; then half and a quarter of the trees or updates
        killed, interrupted  the same plan; a second one in a row as oom
        segfault             one thread; from the GPU to the CPU; the same plan once
        gpu_lost             the CPU

    It always ends. Nothing in a plan grows but the precision, and every other answer is counted: a kill is forgiven
    only after something else, an overtime once, a crash at the bottom once, and bfloat16 is not tried again after NaN.

    Args:
        plan: the first plan of the stage.
        failures: the kinds of all failed attempts so far, oldest first.
    """
    rung: _Rung | None = _Rung(plan)
    for kind in failures:
        if rung is None:
            return None
        rung = _after(rung, kind)
    return rung.plan if rung is not None else None


def _after(rung: _Rung, kind: FailureKind) -> _Rung | None:
    answer = _ANSWERS.get(kind)
    plan = answer(rung) if answer is not None else None
    if plan is None:
        return None
    repeated = rung.crash_repeated or (kind == "segfault" and plan == rung.plan)
    return _Rung(plan, (*rung.earlier, kind), repeated)


def _with_less_memory(rung: _Rung) -> Plan | None:
    plan = rung.plan
    # On the CPU each thread has MIN_BATCH_ROWS of a batch at work, no more (models/networks/cpu.py): to halve what is
    # above that would cost attempts and free nothing.
    at_work = plan.batch_rows if plan.device == "cuda" else min(plan.batch_rows, plan.threads * MIN_BATCH_ROWS)
    smaller = replace(
        plan,
        rows_in_memory=_halved(plan.rows_in_memory, MIN_ROWS_IN_MEMORY),
        batch_rows=_halved(at_work, min(plan.batch_rows, MIN_BATCH_ROWS)),
        low_memory=True,
    )
    if smaller != plan:
        return smaller
    if plan.threads > 1:
        return replace(plan, threads=plan.threads // 2)
    return _on_cpu(rung)


def _with_less_gpu_memory(rung: _Rung) -> Plan | None:
    plan = rung.plan
    if plan.device == "cpu":
        return _with_less_memory(rung)
    smaller = replace(plan, batch_rows=_halved(plan.batch_rows, MIN_BATCH_ROWS))
    if smaller != plan:
        return smaller
    if plan.precision == "float32" and not {"nan", "diverged"} & set(rung.earlier):
        return replace(plan, precision="bfloat16")
    return _on_cpu(rung)


def _steadier(rung: _Rung) -> Plan | None:
    if rung.plan.precision != "float32":
        return replace(rung.plan, precision="float32")
    return _gentler(rung.plan)


def _moved_from_plateau(rung: _Rung) -> Plan | None:
    return _gentler(rung.plan) if rung.earlier.count("stalled") < MAX_STALLED_STEPS else None


def _gentler(plan: Plan) -> Plan | None:
    rate = plan.rate_factor * RATE_STEP
    if rate < MIN_RATE_FACTOR * 0.999:  # products of 0.3 differ from its powers in the last digit
        return None
    clip = plan.clip_norm / 2 if plan.clip_norm is not None and plan.clip_norm <= FIRST_CLIP_NORM else FIRST_CLIP_NORM
    return replace(plan, rate_factor=rate, clip_norm=clip)


def _with_less_work(rung: _Rung) -> Plan | None:
    if "timeout" not in rung.earlier:
        return rung.plan
    work = rung.plan.work_factor / 2
    return replace(rung.plan, work_factor=work) if work >= MIN_WORK_FACTOR else None


def _forgiven_once(rung: _Rung) -> Plan | None:
    # The stage may be innocent (a reboot, a person with a mouse), so the same plan is tried once more; when it ends so
    # again, the likeliest reason is that it took the machine's memory.
    in_a_row = bool(rung.earlier) and rung.earlier[-1] in ("killed", "interrupted")
    return _with_less_memory(rung) if in_a_row else rung.plan


def _with_one_thread(rung: _Rung) -> Plan | None:
    if rung.plan.threads > 1:
        return replace(rung.plan, threads=1)
    return _on_cpu(rung) or (None if rung.crash_repeated else rung.plan)


def _on_cpu(rung: _Rung) -> Plan | None:
    return replace(rung.plan, device="cpu") if rung.plan.device == "cuda" else None


def _halved(rows: int, floor: int) -> int:
    """Half of `rows`, not below `floor`; a figure that is already below the floor stays, it never grows."""
    return min(rows, max(rows // 2, floor))


_ANSWERS: Mapping[FailureKind, Callable[[_Rung], Plan | None]] = {
    "oom": _with_less_memory,
    "abort": _with_less_memory,
    "vram": _with_less_gpu_memory,
    "nan": _steadier,
    "diverged": _steadier,
    "stalled": _moved_from_plateau,
    "timeout": _with_less_work,
    "killed": _forgiven_once,
    "interrupted": _forgiven_once,
    "segfault": _with_one_thread,
    "gpu_lost": _on_cpu,
}
