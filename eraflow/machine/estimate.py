"""What a stage will need: memory, GPU memory and disk, reckoned before it starts, and the plan that follows.

The formula is one sum for every kind of stage; what differs is a row of `COSTS`, in which those of the models come
from eraflow/kinds.py. Memory is what the watch counts: what the kernel cannot drop (anonymous pages, shared memory,
swap), not the mapped era store.

Where the figures are from: peaks of the real stages on two cores, Python 3.11, fitted by hand to some sixty runs of
4,000 to 900,000 rows and 10 to 2,500 columns (within 11 %); `python -m benchmarks estimates` compares them with new
runs. The bytes for a value agree with tests/models/test_memory.py. GPU figures and the disk's are reckoned from the
sizes of the arrays, not measured.
What a formula misses on some computer is put right by the peaks of earlier runs; see `correction`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from eraflow.kinds import KINDS, Cost
from eraflow.machine.plan import MIN_BATCH_ROWS, Plan, next_plan

MIB = 1024 * 1024
HEADROOM = 1.1
"""A plan fits when the estimate and a tenth more lie within the budget."""


@dataclass(frozen=True)
class Need:
    """What the size of a stage's work is, as far as it is known before it starts.

    Attributes:
        kind: a row of `COSTS`; the kinds of models are their own.
        rows: rows that are read or learnt from at the most at once.
        columns: feature columns.
        eras: in which the rows lie.
        judged: rows that are predicted out of fold, or that a prediction file of a member has.
        members: models that are blended, scored or asked.
        floats: float columns beside the features (targets, benchmarks).
        trees: of one model.
        weights: of a neural network.
        chunks: columns times row groups of the parquet files, all columns that are in them.
        cost: what the kind costs; None: as `COSTS` has it.
    """

    kind: str
    rows: int = 0
    columns: int = 0
    eras: int = 1
    judged: int = 0
    members: int = 1
    floats: int = 1
    trees: int = 0
    weights: int = 0
    chunks: int = 0
    cost: Cost | None = None


@dataclass(frozen=True)
class Estimate:
    """Memory of the process tree, of the GPU, and space on the disk; MiB."""

    ram_mb: float
    vram_mb: float = 0.0
    disk_mb: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


COSTS: dict[str, Cost] = {
    **{kind.name: kind.cost for kind in KINDS.values()},
    # A tile is held by polars, as int8, and checked; 24 MiB of it at the most (eraflow/erastore/tiles.py).
    "features": Cost(
        58,
        row=120,
        column=36_000,
        chunk=1_370,
        tile_value=3,
        tile_values=24 << 20,
        disk_value=1.02,
        disk_row=32,
        thread_mb=1,
    ),
    "backtest": Cost(70, judged=170, member_judged=25, era_value=12, thread_mb=1, disk_judged=1),
    "blend": Cost(63, judged=150, member_judged=130, era_value=12, disk_tree=8_000, thread_mb=1, disk_judged=30),
    # Where a member needs whole eras: the era's tiles, the era put together, and what a model makes of it (float64).
    "predict": Cost(
        130, row=300, column=20_000, tree=10_000, tile_value=14, tile_values=24 << 20, era_value=10, disk_row=60
    ),
    # Torch and its optimiser as for every network; a number and a label for each row; the rows on which levels are cut
    # and the means of the features (models/compression/fitting.py). The codes on the disk are told by the stage.
    "vae": Cost(290, row=20, column=60_000, thread_mb=5, thread_column=13_000, vram_base_mb=700, batch_value=32),
    # A stage that does not say what it is: what most of them stay below.
    "unknown": Cost(250, value=3, row=250, judged=300, tile_value=5),
}
# A float32 weight, its gradient, two moments of the optimiser, one gradient on the way; the rest, as measured with 1.5
# million weights, are copies for checkpoints and for prediction. 12 were added for the best weights so far: themselves,
# and twice in a checkpoint that is being written.
WEIGHT_BYTES = 56
THREAD_WEIGHT_BYTES = 4  # each thread has gradients of its own
FIXED_DISK_MB = 16.0  # logs, the record, a model of ordinary size


def estimate(need: Need, plan: Plan, correction: float = 1.0) -> Estimate:
    """What a stage will hold at its peak under a plan.

    Args:
        need: the size of the work.
        plan: how it would use the machine.
        correction: factor for the memory, from earlier runs.
    """
    cost = need.cost or COSTS.get(need.kind, COSTS["unknown"])
    memory = cost.base_mb + cost.thread_mb * plan.threads + _held(cost, need, plan) / MIB
    graphics = cost.vram_base_mb + _on_gpu(cost, need, plan) / MIB if plan.device == "cuda" else 0.0
    return Estimate(round(memory * correction, 1), round(graphics, 1), round(_on_disk(cost, need, plan), 1))


def _held(cost: Cost, need: Need, plan: Plan) -> float:
    values = need.rows * need.columns
    lean = plan.low_memory and cost.lean_value is not None
    tile = min(plan.rows_in_memory * need.columns, cost.tile_values, values)
    return (
        ((cost.lean_value or 0.0) if lean else cost.value) * values
        + cost.row * need.rows
        + (cost.column + cost.thread_column * plan.threads) * need.columns
        + cost.tree * need.trees * need.members
        + cost.chunk * need.chunks
        + (cost.judged + cost.member_judged * need.members) * need.judged
        + cost.tile_value * tile
        + cost.era_value * need.columns * need.judged / max(need.eras, 1)
        + (WEIGHT_BYTES + THREAD_WEIGHT_BYTES * plan.threads) * need.weights
    )


def _on_gpu(cost: Cost, need: Need, plan: Plan) -> float:
    values = need.rows * need.columns
    batch = cost.batch_value * min(plan.batch_rows, max(need.rows, 1)) * need.columns
    return cost.vram_value * values + batch + WEIGHT_BYTES * need.weights


def _on_disk(cost: Cost, need: Need, plan: Plan) -> float:
    values = need.rows * need.columns
    per_value = cost.disk_value + (cost.lean_disk_value if plan.low_memory else 0.0)
    floats = 8 * need.floats * need.rows if cost.disk_row else 0
    parts = per_value * values + cost.disk_row * need.rows + floats + cost.disk_judged * need.judged
    return FIXED_DISK_MB + (parts + cost.disk_tree * need.trees * need.members) / MIB


def plans(first: Plan) -> Iterator[Plan]:
    """`first` and what the ladder would make of it for want of memory, down to the leanest."""
    current: Plan | None = first
    while current is not None:
        yield current
        current = next_plan(current, ["oom"])


def fitting(
    need: Need, first: Plan, *, budget_mb: float, vram_mb: float | None = None, correction: float = 1.0
) -> tuple[Plan, Estimate]:
    """The roomiest plan from `first` downwards whose estimate fits, or the leanest when none does.

    Args:
        need: the size of the work.
        first: the plan of unlimited means.
        budget_mb: memory that the stage may use, MiB.
        vram_mb: free memory of the GPU, MiB; None: not known, and not looked at.
        correction: factor for the memory, from earlier runs.

    Returns:
        The plan and its estimate. Only rows_in_memory, batch_rows, low_memory, threads and device differ from `first`.
    """
    found: tuple[Plan, Estimate] | None = None
    for plan in plans(_on_fitting_device(need, first, vram_mb)):
        found = plan, estimate(need, plan, correction)
        if found[1].ram_mb * HEADROOM <= budget_mb:
            return found
    if found is None:
        raise ValueError("a ladder holds at least its first plan")
    return found


def _on_fitting_device(need: Need, plan: Plan, vram_mb: float | None) -> Plan:
    """The plan with batches that fit the GPU, or on the CPU when not even the smallest do."""
    if plan.device != "cuda" or vram_mb is None:
        return plan
    batch = plan.batch_rows
    while estimate(need, replace(plan, batch_rows=batch)).vram_mb * HEADROOM > vram_mb:
        if batch <= MIN_BATCH_ROWS:
            return replace(plan, device="cpu")
        batch = max(batch // 2, MIN_BATCH_ROWS)
    return replace(plan, batch_rows=batch)


def least_mb(need: Need, first: Plan, correction: float = 1.0) -> float:
    """Memory of the leanest plan, MiB: below it there is no use in starting."""
    return min(estimate(need, plan, correction).ram_mb for plan in plans(first))


UPPER_SHARE = 0.9
CORRECTIONS = (0.6, 3.0)
MAX_RATIOS = 20


def correction(ratios: Sequence[float]) -> float:
    """The factor that earlier runs teach: a high quantile of peak / uncorrected estimate, clamped.

    One is counted in as if it had been seen once, so that a single odd run moves the factor only part of the way, and
    without any run the formula stands as it is.

    Args:
        ratios: of finished stages of the same kind, newest last; only the last twenty count.
    """
    seen = sorted([1.0, *(ratio for ratio in ratios[-MAX_RATIOS:] if ratio > 0)])
    place = UPPER_SHARE * (len(seen) - 1)
    low = int(place)
    high = min(low + 1, len(seen) - 1)
    quantile = seen[low] + (seen[high] - seen[low]) * (place - low)
    return min(max(quantile, CORRECTIONS[0]), CORRECTIONS[1])
