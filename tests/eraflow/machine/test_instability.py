"""The watch on a training: what it must name, and what it must leave alone. The second matters more: a false alarm ends
an honest training, and on Numerai's targets every honest training looks as if it learnt nothing."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from eraflow.machine.failures import StageDiverged, StageNaN, StageStalled
from eraflow.machine.instability import EXPLODED_UPDATES, UPDATES_IN_A_ROW, WINDOW, TrainingMonitor

INF, NAN = math.inf, math.nan


def monitor(constant_loss=1.0, **more):
    return TrainingMonitor("a model", constant_loss=constant_loss, deliver=lambda mark: None, **more)


def updates(watch, losses, norms=None, first=0):
    for step, loss in enumerate(losses, first):
        norm = 1.0 if norms is None else norms[step - first]
        watch.update(step, float(loss), grad_norm=float(norm), rate=0.01)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("place", ["loss", "grad_norm", "rate", "epoch", "spread", "metric"])
def test_what_is_not_finite_is_named_at_once(bad, place):
    watch = monitor()
    usual = {"loss": 1.0, "grad_norm": 1.0, "rate": 0.1}
    updates(watch, [1.0, 1.1])
    judge = {
        "epoch": lambda: watch.epoch(0, bad, spread=0.1),
        "spread": lambda: watch.epoch(0, 1.0, spread=bad),
        "metric": lambda: watch.check_finite("corr", bad, "on fold 1"),
    }.get(place, lambda: watch.update(2, **{**usual, place: bad}))
    with pytest.raises(StageNaN, match=r"stage_nan: .* of a model is (nan|-?inf)"):
        judge()


@pytest.mark.parametrize("constant_loss", [1.0, None])
@pytest.mark.parametrize(
    "bad",
    [
        np.geomspace(1, 1e6, 200),  # up and up
        np.full(200, 8.0),  # a jump that stays
        8 + rng().normal(0, 3, 200).clip(-4),  # noisy, above
    ],
    ids=["rising", "jump", "noisy"],
)
def test_a_loss_that_goes_far_above_its_best_and_stays_is_a_divergence(constant_loss, bad):
    watch = monitor(constant_loss)
    updates(watch, 1 + rng().normal(0, 0.1, 300))
    with pytest.raises(StageDiverged, match=r"it was (0\.9|1)"):
        updates(watch, bad, first=300)


def test_a_training_that_is_bad_from_its_first_step_is_a_divergence():
    """There never was a good window: the loss before the first step, or a constant's, is what it is compared with."""
    with pytest.raises(StageDiverged):
        updates(monitor(), [1.1, 300, 9000, *rng().uniform(50, 500, 200)])


def test_one_that_forgets_what_it_had_learnt_is_a_divergence():
    watch = monitor()
    updates(watch, np.geomspace(1, 0.01, 200))
    with pytest.raises(StageDiverged):
        updates(watch, np.full(100, 1.0), first=200)


@pytest.mark.parametrize(
    "losses",
    [
        [*np.full(100, 1.0), *np.full(WINDOW // 2, 1e6), *np.full(200, 1.0)],  # a burst shorter than the window
        [*np.full(100, 1.0), *np.full(UPDATES_IN_A_ROW, 50.0), *np.full(200, 1.0)],  # it recovers
        np.where(np.arange(2000) % 37 == 0, 1e5, 1.0),  # spikes again and again
        np.geomspace(50, 1, 500),  # a bad start
        1 + rng(1).standard_normal(5000) ** 4,  # heavy tails
        rng(2).chisquare(4, 5000) / 4,  # batches of a few rows
        [*np.geomspace(1, 1e-6, 300), *np.full(300, 1e-4)],  # nearly perfect, then a hundred times that: still learnt
        np.full(1000, 1.0),  # nothing learnt is not a divergence
    ],
    ids=["burst", "recovers", "spikes", "bad start", "heavy tails", "tiny batches", "nearly perfect", "flat"],
)
def test_losses_that_only_look_bad_are_left_alone(losses):
    updates(monitor(), losses)


def test_gradients_that_explode_for_several_updates_are_named():
    norms = [*np.geomspace(30, 0.5, 200), *np.full(EXPLODED_UPDATES, 5e4)]
    with pytest.raises(StageDiverged, match="exploded at update 209"):
        updates(monitor(), np.ones(len(norms)), norms)


@pytest.mark.parametrize(
    "norms",
    [
        [*np.ones(200), *np.full(EXPLODED_UPDATES - 1, 1e6), *np.ones(100)],
        [*np.full(20, 1e6), *np.ones(300)],  # a wild start
        np.exp(rng(3).normal(0, 1.5, 5000)),  # a factor of a hundred up and down
        [*np.geomspace(1, 1e-3, 300), *np.geomspace(1e-3, 0.5, 300)],
        np.zeros(500),
    ],
    ids=["short", "wild start", "lognormal", "down and up", "zero"],
)
def test_norms_that_vary_are_left_alone(norms):
    updates(monitor(), np.ones(len(norms)), norms)


def test_constant_predictions_are_a_plateau_after_the_warm_up():
    watch = monitor()
    for number in range(4):
        watch.epoch(number, 1.0003, spread=2e-4)
    with pytest.raises(StageStalled, match=r"predicts a constant in epoch 5: spread 0\.0002"):
        watch.epoch(4, 1.0002, spread=2e-4)


def test_a_short_training_that_ends_constant_is_named_at_its_end():
    watch = monitor()
    watch.epoch(0, 1.0, spread=0.0)
    with pytest.raises(StageStalled, match="at its end"):
        watch.finish()


def test_an_explosion_that_left_a_constant_is_a_divergence_and_not_a_plateau():
    watch = monitor()
    for number, loss in enumerate([44.0, 3.0, 1.01]):
        watch.epoch(number, loss, spread=[6.0, 0.9, 0.0][number])
    with pytest.raises(StageDiverged, match="after its loss had been 44"):
        watch.finish()


@pytest.mark.parametrize("level", [1.0, 0.99995, 1.3, 250.0])
@pytest.mark.parametrize("constant_loss", [1.0, None])
def test_a_loss_that_does_not_move_at_all_is_a_plateau(level, constant_loss):
    watch = monitor(constant_loss)
    for number in range(4):
        watch.epoch(number, level * (1 + 1e-8 * number))
    with pytest.raises(StageStalled, match="does not fall"):
        watch.epoch(4, level)


@pytest.mark.parametrize(
    ("losses", "spreads"),
    [
        ([1.0 + 1e-4 * (-1) ** n for n in range(50)], [0.02] * 50),  # no trend, no gain: a weak signal and dropout
        ([1.001 + 1e-5 * n for n in range(50)], [0.05] * 50),  # above a constant all its life
        ([0.998] * 50, [0.04] * 50),  # has learnt what there is, and stays
        ([1.0] * 4, [0.0] * 4),  # still warming up
        ([1 - 1e-5 * n for n in range(12)], [1e-6 * 3**n for n in range(12)]),  # a slow start
        ([1 - 3e-6 * n for n in range(50)], [None] * 50),
    ],
    ids=["no gain", "above", "done", "warm-up", "slow start", "slow"],
)
def test_trainings_that_only_look_stuck_are_left_alone(losses, spreads):
    watch = monitor()
    for number, (loss, spread) in enumerate(zip(losses, spreads, strict=True)):
        watch.epoch(number, loss, spread=spread)


TARGET = (np.repeat([0.0, 0.25, 0.5, 0.75, 1.0], [1, 4, 10, 4, 1]) - 0.5) / math.sqrt(
    0.05
)  # as Numerai's, standardised


def weak_training(seed, *, signal, rate, batch, dropout=0.2, rows=6_000, features=30, epochs=8):
    """Adam on a linear model with dropout; `signal` is the share of the target's variance that it could explain.

    Returns the loss of the last epoch; a constant predictor's is 1.
    """
    draw = rng(seed)
    x = (draw.integers(0, 5, (rows, features)) - 2) * math.sqrt(0.5)
    truth = draw.normal(size=features)
    mixed = math.sqrt(signal) * (x @ truth) / np.linalg.norm(truth) + math.sqrt(1 - signal) * draw.normal(size=rows)
    y = np.sort(draw.choice(TARGET, rows))[mixed.argsort().argsort()]
    y = (y - y.mean()) / y.std()
    weights, first, second, step = draw.normal(0, 0.3 / math.sqrt(features), features), 0.0, 0.0, 0
    watch = monitor()
    for number in range(epochs):
        loss_sum = variation = 0.0
        for rows_of in np.array_split(draw.permutation(rows), rows // batch):
            seen = x[rows_of] * (draw.random((len(rows_of), features)) >= dropout) / (1 - dropout)
            predicted = seen @ weights
            residual = predicted - y[rows_of]
            loss, gradient = float(np.square(residual).mean()), 2 * seen.T @ residual / len(rows_of)
            watch.update(step, loss, grad_norm=float(np.linalg.norm(gradient)), rate=rate)
            step += 1
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            weights = weights - rate * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
            loss_sum += float(np.square(residual).sum())
            variation += float(np.square(predicted - predicted.mean()).sum())
        watch.epoch(number, loss_sum / rows, spread=math.sqrt(variation / rows))
    watch.finish()
    return loss_sum / rows


WEAK = [
    {"signal": signal, "rate": rate, "batch": batch}
    for signal in (0.0, 1e-4, 1e-3, 5e-3)  # pure noise as well: it is the gate that judges a model, not this watch
    for rate in (1e-4, 1e-3, 1e-2)
    for batch in (32, 500)
]


def test_weak_signals_raise_no_false_alarm():
    """120 healthy trainings on Numerai-like targets; most end with a loss that is not below a constant predictor's.

    None may be stopped: with no alarm in 120 the rate is below 2.5 % at 95 % confidence.
    """
    final = [weak_training(seed, **case) for case in WEAK for seed in range(5)]
    assert np.mean(np.array(final) > 1) > 0.5  # they do look like that
    assert len(final) == 120


def test_marks_are_sent_at_most_twice_a_second_and_the_last_one_always():
    sent, now = [], [0.0]
    watch = TrainingMonitor("a model", deliver=sent.append, clock=lambda: now[0])
    for step in range(101):
        now[0] = step * 0.1
        watch.update(step, 1.0, grad_norm=None, rate=0.5)
    watch.finish()
    assert len(sent) == pytest.approx(21, abs=2)
    assert sent[-1] == {"step": 100, "loss": 1.0, "grad_norm": None, "rate": 0.5}
    watch.finish()
    assert sent[-1]["step"] == 100
    assert len(sent) == len({mark["step"] for mark in sent})


def test_the_figures_of_the_failure_are_sent_and_are_json():
    sent, now = [], [0.0]
    watch = TrainingMonitor("a model", deliver=sent.append, clock=lambda: now[0])
    watch.update(0, 1.0, grad_norm=1.0, rate=0.5)
    with pytest.raises(StageNaN):
        watch.update(1, NAN, grad_norm=INF, rate=0.5)
    assert sent[-1] == {"step": 1, "loss": "nan", "grad_norm": "inf", "rate": 0.5}
    json.dumps(sent, allow_nan=False)


@pytest.mark.parametrize("inside", [True, False])
def test_marks_reach_the_parent_and_nobody_else(inside):
    code = (
        "from eraflow.machine.instability import TrainingMonitor as M; m = M('x');"
        "m.update(3, 0.5, grad_norm=2.0, rate=0.1); m.finish()"
    )
    env = {"ERAFLOW_PROGRESS": "1"} if inside else {}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    expected = '\x1etraining {"step": 3, "loss": 0.5, "grad_norm": 2.0, "rate": 0.1}\n'
    assert out == (expected if inside else "")


def test_a_resumed_training_knows_its_past():
    watch = monitor()
    updates(watch, np.full(50, 0.2))
    for number in range(4):
        watch.epoch(number, 1.0, spread=0.0)
    later = monitor()
    later.restore(watch.state())
    with pytest.raises(StageStalled):
        later.epoch(4, 1.0, spread=0.0)
    later = monitor()
    later.restore(watch.state())
    with pytest.raises(StageDiverged, match=r"it was 0\.2 at its best"):
        updates(later, np.full(100, 1.0))
