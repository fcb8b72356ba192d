"""The ladder of plans: every failure of memory makes the plan smaller, and it always ends."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.machine.plan import RETRIED_KINDS, Plan, next_plan

KINDS = ["oom", "nan", "timeout", "killed", "abort", "segfault", "interrupted", "error"]
retried = st.sampled_from(sorted(RETRIED_KINDS))
plans = st.builds(
    Plan,
    threads=st.integers(1, 256),
    rows_in_memory=st.integers(1, 2**22),
    batch_rows=st.integers(1, 2**20),
    device=st.sampled_from(["cpu", "cuda"]),
    low_memory=st.booleans(),
)
# Halvings of rows, batch and threads from the largest values above, low_memory, leaving the GPU; each twice, because
# an interruption may come before every one.
LONGEST = 2 * (22 + 20 + 8 + 2) + 2


@settings(max_examples=60)
@given(plans, st.lists(retried, min_size=LONGEST, max_size=LONGEST))
def test_the_ladder_ends_whatever_happens(plan, failures):
    assert next_plan(plan, failures) is None


@settings(max_examples=60)
@given(plans, st.lists(st.sampled_from(KINDS), max_size=12))
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
            assert (before.device, after.device) != ("cpu", "cuda")
            assert min(after.threads, after.rows_in_memory, after.batch_rows) >= 1
        before = after


@settings(max_examples=60)
@given(plans, st.lists(st.sampled_from(["oom", "killed", "abort"]), min_size=1, max_size=8))
def test_every_memory_failure_changes_the_plan(plan, failures):
    after, before = next_plan(plan, failures), next_plan(plan, failures[:-1])
    assert after is None or after != before


@settings(max_examples=60)
@given(plans, st.lists(st.sampled_from(KINDS), max_size=6), st.lists(st.sampled_from(KINDS), max_size=6))
def test_a_kind_without_a_cure_ends_it(plan, before, after):
    assert next_plan(plan, [*before, "error", *after]) is None


def test_one_interruption_repeats_the_plan_and_a_second_in_a_row_makes_it_smaller():
    plan = Plan()
    assert next_plan(plan, ["interrupted"]) == plan
    assert next_plan(plan, ["interrupted", "interrupted"]) == next_plan(plan, ["oom"])
    assert next_plan(plan, ["interrupted", "oom", "interrupted"]) == next_plan(plan, ["oom"])


def test_out_of_memory_halves_the_rows_and_asks_for_the_lean_way():
    after = next_plan(Plan(rows_in_memory=65_536, batch_rows=1024), ["oom"])
    assert after == Plan(rows_in_memory=32_768, batch_rows=512, low_memory=True)


def test_the_gpu_is_left_last():
    floor = Plan(threads=1, rows_in_memory=8192, batch_rows=256, low_memory=True, device="cuda")
    after = next_plan(floor, ["oom"])
    assert after is not None
    assert after.device == "cpu"
    assert next_plan(floor, ["oom", "oom"]) is None
