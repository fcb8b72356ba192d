"""The short form of the chaos suite: one moment for each victim, drawn anew each time. `make chaos` is the long one."""

import random

import pytest

from tests.faults.chaos import Chaos

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chaos(tmp_path_factory):
    return Chaos(tmp_path_factory.mktemp("chaos"))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("victim", ["child", "flow"])
def test_whatever_is_killed_the_week_ends_with_the_same_bytes(chaos, victim):
    """SIGKILL at a random moment: the same CSV, each stage completed once, no orphan, nothing half-written."""
    moment = random.uniform(0.2, 0.8) * chaos.seconds
    print(f"{victim} is killed after {moment:.2f} s")  # shown when it fails
    told = chaos.kill_child(victim, 0.7 * moment) if victim == "child" else chaos.kill_flow(victim, moment)
    assert told.repeated <= told.total
