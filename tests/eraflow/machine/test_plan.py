"""The ladder of plans: the right step for each kind of failure, nothing grows, and it always ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.machine.plan import (
    FAILURE_KINDS,
    MIN_BATCH_ROWS,
    MIN_RATE_FACTOR,
    MIN_ROWS_IN_MEMORY,
    MIN_WORK_FACTOR,
    RETRIED_KINDS,
    Plan,
    next_plan,
)

kinds = st.sampled_from(sorted(FAILURE_KINDS))
retried = st.sampled_from(sorted(RETRIED_KINDS))
plans = st.builds(
    Plan,
    threads=st.integers(1, 256),
    rows_in_memory=st.integers(1, 2**22),
    batch_rows=st.integers(1, 2**20),
    device=st.sampled_from(["cpu", "cuda"]),
    precision=st.sampled_from(["float32", "bfloat16", "float16"]),
    rate_factor=st.floats(1e-3, 1),
    low_memory=st.booleans(),
    clip_norm=st.none() | st.floats(0.01, 100),
    work_factor=st.floats(0.1, 1),
)
# The longest way down: halvings of rows, batch and threads from the largest values above, low_memory, precision down
# and up, leaving the GPU, four gentler rates, three overtimes, one crash again; each after a kill that was forgiven.
LONGEST = 2 * (22 + 20 + 9 + 1 + 2 + 1 + 4 + 3 + 1) + 2

FLOOR = Plan(threads=1, rows_in_memory=MIN_ROWS_IN_MEMORY, batch_rows=MIN_BATCH_ROWS, low_memory=True)
GPU = Plan(device="cuda")
GPU_FLOOR = replace(FLOOR, device="cuda")
SMALLER = Plan(rows_in_memory=131_072, batch_rows=256, low_memory=True)
STEADIER = Plan(rate_factor=0.3, clip_norm=1.0)


@pytest.mark.parametrize(
    ("first", "failures", "expected"),
    [
        # memory: rows and batch, then threads, then the GPU, then nothing
        (Plan(), ["oom"], SMALLER),
        (Plan(), ["abort"], SMALLER),
        (GPU, ["oom"], Plan(device="cuda", rows_in_memory=131_072, batch_rows=8_192, low_memory=True)),
        (Plan(threads=8), ["oom"], Plan(8, 131_072, 1_024, low_memory=True)),  # on the CPU 256 rows a thread at work
        (replace(FLOOR, batch_rows=300, threads=8), ["oom"], replace(FLOOR, threads=8)),
        (replace(FLOOR, threads=8), ["oom"], replace(FLOOR, threads=4)),
        (replace(FLOOR, threads=3), ["oom"], FLOOR),
        (GPU_FLOOR, ["oom"], FLOOR),
        (FLOOR, ["oom"], None),
        (Plan(rows_in_memory=100, batch_rows=7, threads=1, low_memory=True), ["oom"], None),
        # the GPU's memory: batch, bfloat16, the CPU; there like any memory
        (GPU, ["vram"], replace(GPU, batch_rows=8_192)),
        (GPU_FLOOR, ["vram"], replace(GPU_FLOOR, precision="bfloat16")),
        (GPU_FLOOR, ["vram", "vram"], replace(FLOOR, precision="bfloat16")),
        (GPU_FLOOR, ["vram", "vram", "vram"], None),
        (Plan(), ["vram"], SMALLER),
        (replace(GPU_FLOOR, precision="float16"), ["vram"], replace(FLOOR, precision="float16")),
        # numbers: full precision, then a lower rate and tighter clipping, to a floor
        (replace(GPU, precision="bfloat16"), ["nan"], GPU),
        (Plan(), ["nan"], STEADIER),
        (Plan(), ["diverged"], STEADIER),
        (Plan(), ["nan", "diverged"], Plan(rate_factor=0.09, clip_norm=0.5)),
        (Plan(clip_norm=5.0), ["nan"], STEADIER),
        (Plan(clip_norm=0.4), ["nan"], Plan(rate_factor=0.3, clip_norm=0.2)),
        (Plan(), ["nan"] * 5, None),
        (GPU_FLOOR, ["vram", "nan", "vram"], FLOOR),  # bfloat16 gave NaN: not again
        # a plateau: two gentler tries
        (Plan(), ["stalled"], STEADIER),
        (Plan(), ["stalled", "stalled"], Plan(rate_factor=0.09, clip_norm=0.5)),
        (Plan(), ["stalled"] * 3, None),
        (Plan(), ["stalled", "oom", "stalled", "oom", "stalled"], None),
        # time: once more from the checkpoint, then less work
        (Plan(), ["timeout"], Plan()),
        (Plan(), ["timeout", "timeout"], Plan(work_factor=0.5)),
        (Plan(), ["timeout"] * 3, Plan(work_factor=0.25)),
        (Plan(), ["timeout"] * 4, None),
        (Plan(), ["timeout", "killed", "timeout"], Plan(work_factor=0.5)),
        # ended from outside: once forgiven, then as memory
        (Plan(), ["killed"], Plan()),
        (Plan(), ["interrupted"], Plan()),
        (Plan(), ["killed", "killed"], SMALLER),
        (Plan(), ["interrupted", "killed"], SMALLER),
        (Plan(), ["killed", "timeout", "killed"], Plan()),
        # crashes: one thread, the CPU, once more
        (Plan(threads=8), ["segfault"], Plan(threads=1)),
        (replace(GPU, threads=1), ["segfault"], Plan(threads=1)),
        (Plan(threads=1), ["segfault"], Plan(threads=1)),
        (Plan(threads=8), ["segfault"] * 2, Plan(threads=1)),
        (Plan(threads=8), ["segfault"] * 3, None),
        (Plan(threads=1), ["segfault", "killed", "segfault"], None),
        # the GPU is gone
        (GPU, ["gpu_lost"], Plan()),
        (Plan(), ["gpu_lost"], None),
        # what no plan cures
        (Plan(), ["error"], None),
        (Plan(), ["disk_full"], None),
        (Plan(), ["oom", "error", "oom"], None),
        (Plan(), [], Plan()),
    ],
)
def test_each_kind_of_failure_has_its_answer(first, failures, expected):
    after = next_plan(first, failures)
    assert (after is None) == (expected is None)
    if after is not None and expected is not None:
        assert after.as_dict() == pytest.approx(expected.as_dict())


@settings(max_examples=150)
@given(plans, st.lists(retried, min_size=LONGEST, max_size=LONGEST))
def test_the_ladder_ends_whatever_happens(plan, failures):
    assert next_plan(plan, failures) is None


@given(plans, st.lists(retried, min_size=1, max_size=3))
def test_the_ladder_ends_when_the_same_few_failures_come_again_and_again(plan, circle):
    assert next_plan(plan, circle * LONGEST) is None


@settings(max_examples=150)
@given(plans, st.lists(kinds, max_size=14))
def test_a_plan_never_grows_and_never_comes_back_from_nothing(plan, failures):
    before: Plan | None = plan
    for i in range(len(failures)):
        after = next_plan(plan, failures[: i + 1])
        if before is None:
            assert after is None
        elif after is not None:
            assert after.threads <= before.threads
            assert after.rows_in_memory <= before.rows_in_memory
            assert after.batch_rows <= before.batch_rows
            assert after.rate_factor <= before.rate_factor
            assert after.work_factor <= before.work_factor
            assert (after.clip_norm or 1e9) <= (before.clip_norm or 1e9)
            assert after.low_memory >= before.low_memory
            assert (before.device, after.device) != ("cpu", "cuda")
            assert min(after.threads, after.rows_in_memory, after.batch_rows) >= 1
        before = after


@settings(max_examples=150)
@given(plans, st.lists(kinds, max_size=14))
def test_no_step_goes_below_its_floor(plan, failures):
    after = next_plan(plan, failures)
    if after is not None:
        assert after.rows_in_memory >= min(plan.rows_in_memory, MIN_ROWS_IN_MEMORY)
        assert after.batch_rows >= min(plan.batch_rows, MIN_BATCH_ROWS)
        assert after.rate_factor >= min(plan.rate_factor, MIN_RATE_FACTOR * 0.99)
        assert after.work_factor >= min(plan.work_factor, MIN_WORK_FACTOR)


@settings(max_examples=60)
@given(plans, st.lists(retried, max_size=10))
def test_it_is_a_pure_fold(plan, failures):
    """The same answer each time, and what was asked is not touched."""
    given_plan, given_failures = replace(plan), list(failures)
    assert next_plan(plan, failures) == next_plan(given_plan, tuple(given_failures))
    assert (plan, failures) == (given_plan, given_failures)


@settings(max_examples=60)
@given(plans, st.lists(st.sampled_from(["oom", "abort"]), min_size=1, max_size=8))
def test_every_memory_failure_changes_the_plan(plan, failures):
    after, before = next_plan(plan, failures), next_plan(plan, failures[:-1])
    assert after is None or after != before


@settings(max_examples=60)
@given(plans, st.lists(kinds, max_size=6), st.lists(kinds, max_size=6), st.sampled_from(["error", "disk_full"]))
def test_a_kind_without_a_cure_ends_it(plan, before, after, last):
    assert next_plan(plan, [*before, last, *after]) is None


@settings(max_examples=60)
@given(plans)
def test_what_changes_the_result_is_left_alone_by_failures_of_memory(plan):
    for failure in ("oom", "abort", "killed", "interrupted", "segfault"):
        after = next_plan(plan, [failure, failure])
        if after is not None:
            same = ("rate_factor", "clip_norm", "precision", "work_factor")
            assert [getattr(after, name) for name in same] == [getattr(plan, name) for name in same]
