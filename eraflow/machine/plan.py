"""How one attempt of a stage uses the machine, and which plan follows a failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Device = Literal["cpu", "cuda"]
Precision = Literal["float32", "bfloat16", "float16"]
FailureKind = Literal["oom", "nan", "timeout", "killed", "abort", "segfault", "interrupted", "error"]

# What another plan, or the same one once more, may cure. The other kinds end the attempts at once.
RETRIED_KINDS: frozenset[FailureKind] = frozenset({"oom", "killed", "abort", "interrupted"})

MIN_BATCH_ROWS = 256
MIN_ROWS_IN_MEMORY = 8_192


@dataclass(frozen=True)
class Plan:
    """How a stage uses the machine in one attempt.

    Attributes:
        threads: worker threads of the numerical library.
        rows_in_memory: rows that are decoded or converted at once (the unit of every streaming step).
        batch_rows: rows of one gradient step, for the torch models.
        device: where the mathematics runs.
        precision: floating point type of the forward pass, for the torch models.
        rate_factor: multiplies the learning rate.
        low_memory: ask the library for its leanest way (fewer bins in flight, column-wise histograms, external memory).
    """

    threads: int = 2
    rows_in_memory: int = 262_144
    batch_rows: int = 16_384
    device: Device = "cpu"
    precision: Precision = "float32"
    rate_factor: float = 1.0
    low_memory: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values; `Plan(**values)` is the way back."""
        return asdict(self)


def next_plan(plan: Plan, failures: Sequence[FailureKind]) -> Plan | None:
    """The plan to try after the given failures, or None when nothing is left to change.

    A pure fold: the same first plan and the same failures always give the same answer, so a new process that reads
    the ledger of a dead one goes on where that one stopped. It always ends: every memory failure makes the plan
    smaller or gives up, and of two interruptions in a row the second counts as one.

    Args:
        plan: the first plan of the stage.
        failures: the kinds of all failed attempts so far, oldest first.
    """
    current: Plan | None = plan
    before: FailureKind | None = None
    for kind in failures:
        if current is None:
            return None
        current = _after(current, kind, before)
        before = kind
    return current


def _after(plan: Plan, kind: FailureKind, before: FailureKind | None) -> Plan | None:
    if kind not in RETRIED_KINDS:
        return None
    if kind == "interrupted" and before != "interrupted":
        # The flow itself died. The stage may be innocent (a reboot), so the same plan is tried once more; when the
        # flow dies again on the same stage, the likeliest reason is that the stage took the machine's memory.
        return plan
    return _with_less_memory(plan)


def _with_less_memory(plan: Plan) -> Plan | None:
    smaller = replace(
        plan,
        rows_in_memory=_halved(plan.rows_in_memory, MIN_ROWS_IN_MEMORY),
        batch_rows=_halved(plan.batch_rows, MIN_BATCH_ROWS),
        low_memory=True,
    )
    if smaller != plan:
        return smaller
    if plan.threads > 1:
        return replace(plan, threads=plan.threads // 2)
    return replace(plan, device="cpu") if plan.device == "cuda" else None


def _halved(rows: int, floor: int) -> int:
    """Half of `rows`, not below `floor`; a figure that is already below the floor stays, it never grows."""
    return min(rows, max(rows // 2, floor))
