"""Networks are implemented right and do not only run: each finds a truth that its control and an mlp do not find."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
truths = pytest.importorskip("benchmarks.truths")

SEEDS = 3


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", sorted(truths.CONTESTS))
def test_a_network_finds_its_truth_and_beats_its_control_and_an_mlp_of_its_size(name: str) -> None:
    outcome = truths.contest(name, SEEDS)
    for rival in ("control", "mlp"):
        said = outcome.against(rival)
        assert said.verdict == "better", "\n".join(truths.lines(name, outcome))
        assert said.interval.low > 0.02, "\n".join(truths.lines(name, outcome))
    assert outcome.weights["mlp"] == pytest.approx(outcome.weights["network"], rel=0.05)
