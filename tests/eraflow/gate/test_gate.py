"""Each rule blocks what it is for, says on what it rests, and never passes in silence."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from eraflow.gate.gate import (
    GateBlockedError,
    StaleVerdictError,
    WrongEnsembleError,
    check_may_submit,
    judge,
)
from eraflow.gate.verdict import Verdict
from eraflow.scoring.certificate import certificate
from eraflow.scoring.ranking import ScoreInputError
from eraflow.scoring.scoring import NO_ERAS, EraScores, ModelScores, score_predictions
from eraflow.scoring.statistics import overlap_weeks, summarise
from eraflow.settings.gate import GateSettings
from tests.eraflow.scoring.memory_store import MemoryStore

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
ERAS = 330


def wave(mean, std=0.02, n=ERAS, h=5, seed=0):
    """Overlapping per-era scores with exactly this mean and standard deviation."""
    steps = np.random.default_rng(seed).standard_normal(n + h - 1)
    scores = np.convolve(steps, np.ones(h), mode="valid")
    return mean + std * (scores - scores.mean()) / scores.std()


def measured(corr, *, missing=0, unscored=(), target="target_x_20", days=20, first=1, **metrics):
    """ModelScores of these series; a metric shorter than CORR covers the last eras."""
    eras = [f"{i:04d}" for i in range(first, first + len(corr))]
    series = {"corr": corr, "max_exposure": np.full(len(corr), 0.2), **metrics}
    per_era = {k: EraScores(tuple(eras[-len(v) :]), tuple(map(float, v))) for k, v in series.items() if len(v)}
    summary = {k: summarise(k, s.eras, s.values, overlap_weeks(days)) for k, s in per_era.items()}
    return ModelScores(target, days, 1000, missing, tuple(unscored), per_era, summary)


def sound(**changes):
    scores = {"bmc": wave(0.004, n=250, seed=1), "mmc": wave(0.004, n=100, seed=2)}
    return measured(**{"corr": wave(0.02), **scores, **changes})


def decide(
    scores,
    *,
    champion=None,
    days=20,
    trained=3,
    wanted=3,
    now=NOW,
    benchmark=None,
    leaks=None,
    tried=(),
    history=NO_ERAS,
    **changes,
) -> Verdict:
    return judge(
        scores,
        tried=tried,
        history=history,
        benchmark=benchmark,
        leaks=leaks,
        champion=champion,
        settings=GateSettings(**changes),
        horizon_days=days,
        ensemble_signature="blend-1",
        round_number=1404,
        models_trained=trained,
        models_wanted=wanted,
        now=now,
    )


def rule(verdict, name):
    return next(found for found in verdict.rules if found.name == name)


def blocking(verdict):
    return [found.name for found in verdict.rules if found.state == "blocked"]


def test_a_sound_ensemble_passes_and_every_rule_says_on_what():
    honest = {"feature": "feature_a", "corr": 0.01, "bound": 0.0, "era_corr": 0.2, "copy": 0.0}
    looked = {"features": 1, "targets": {"target_x_20": {"features": [honest]}}}
    benchmark, others = measured(wave(0.015, seed=4)), measured(wave(0.01, seed=5)).per_era["corr"]
    verdict = decide(
        sound(), champion=sound(corr=wave(0.019, seed=3)), benchmark=benchmark, leaks=looked, tried=[others]
    )
    assert verdict.passed
    assert verdict.reasons() == []
    assert [found.name for found in verdict.rules] == [
        "models",
        "predictions",
        "feature_copy",
        "feature_corr",
        "lead",
        "corr",
        "bmc",
        "mmc_floor",
        "mmc_not_negative",
        "recent",
        "drawdown",
        "exposure",
        "choices",
        "champion",
    ]
    for found in verdict.rules:
        assert found.state == "passed"
        assert f"({found.kind})" in found.text
        if found.name not in ("models", "feature_copy", "feature_corr"):
            assert f"{found.eras} eras {found.first_era} to {found.last_era}" in found.text
    corr = rule(verdict, "corr")
    assert (corr.eras, corr.first_era, corr.last_era, corr.threshold) == (330, "0001", "0330", 0.0)
    assert 0 < corr.bound < corr.figure == pytest.approx(0.02)
    assert f"{corr.bound:+.4f}" in corr.text
    assert rule(verdict, "mmc_floor").first_era == "0231"
    assert verdict.created_at == "2026-11-21T14:00:00+00:00"
    assert (verdict.target, verdict.ensemble_signature, verdict.round_number) == ("target_x_20", "blend-1", 1404)


def test_the_note_tells_the_chance_of_a_wrong_block():
    note = decide(sound(), champion=sound(), bmc_bound=None).note
    assert "10 rules were judged" in note
    assert "bmc_not_negative 5%, mmc_not_negative 5%, recent 1%, champion 5%" in note
    assert "about 15% together" in note  # 1 - .95^3 x .99 = .151
    assert "Not judged: feature_copy, feature_corr, lead, choices, champion" in decide(sound()).note


def test_each_alarm_and_comparison_carries_its_own_error_rate():
    rules = decide(sound(), champion=sound(), bmc_bound=None, recent_confidence=0.98, confidence=0.9).rules
    assert {found.name: round(found.error_rate, 3) for found in rules if found.error_rate is not None} == {
        "feature_copy": 0.002,
        "bmc_not_negative": 0.1,
        "mmc_not_negative": 0.1,
        "recent": 0.02,
        "champion": 0.05,
    }


def test_the_verdict_survives_json_exactly():
    for scores in (sound(), measured(wave(0.0, n=7))):
        verdict = decide(scores)
        assert Verdict.from_dict(json.loads(json.dumps(verdict.as_dict(), allow_nan=False))) == verdict


def test_corr_needs_a_certificate_not_only_a_mean():
    noisy = sound(corr=wave(0.004, std=0.06))
    assert blocking(decide(noisy, max_drawdown=None)) == ["corr"]
    assert rule(decide(noisy), "corr").bound < 0 < rule(decide(noisy), "corr").figure
    assert decide(noisy, corr_bound=None, max_drawdown=None).passed
    assert "corr" in blocking(decide(sound(), corr_bound=0.02))


def test_too_few_eras_cannot_be_certified():
    verdict = decide(measured(wave(0.05, n=9)))
    assert "corr" in blocking(verdict)
    corr = rule(verdict, "corr")
    assert corr.bound is None
    assert "no bound can be given" in corr.text
    assert "at least 10" in corr.text


def test_bmc_may_not_be_significantly_negative_and_can_be_certified():
    slightly = sound(bmc=wave(-0.004, std=0.04, n=250, seed=1))
    assert blocking(decide(slightly, bmc_bound=None)) == []
    assert blocking(decide(slightly)) == ["bmc"]  # by default a bound is asked for, a little below zero
    assert blocking(decide(sound(bmc=wave(-0.01, n=250, seed=1)), bmc_bound=None)) == ["bmc_not_negative"]
    assert blocking(decide(sound(bmc=wave(0.001, std=0.04, n=250, seed=1)), bmc_bound=0.0)) == ["bmc"]
    assert rule(decide(sound(), bmc_bound=-0.01), "bmc").kind == "certificate"


def test_a_certificate_that_was_asked_for_cannot_be_missing():
    verdict = decide(sound(bmc=[]), bmc_bound=0.0)
    assert blocking(verdict) == ["bmc"]
    assert "BMC has no era" in rule(verdict, "bmc").text


def test_mmc_has_a_floor_and_may_not_be_significantly_negative():
    assert blocking(decide(sound(mmc=wave(-0.006, std=0.05, n=100, seed=2)))) == ["mmc_floor"]
    assert blocking(decide(sound(mmc=wave(-0.004, std=0.002, n=100, seed=2)))) == ["mmc_not_negative"]
    assert decide(sound(mmc=wave(-0.02, n=100)), mmc_floor=None).passed


@pytest.mark.parametrize("eras", [0, 1, 9])
def test_without_enough_meta_model_eras_mmc_is_not_judged_and_says_so(eras):
    verdict = decide(sound(mmc=np.full(eras, -1.0)))
    assert verdict.passed
    for name in ("mmc_floor", "mmc_not_negative"):
        assert rule(verdict, name).state == "not judged"
        assert f"{eras} eras, at least 10" in rule(verdict, name).text
        assert name in verdict.note


def test_a_recent_window_that_is_significantly_worse_raises_the_alarm():
    corr = wave(0.02)
    corr[-52:] -= 0.05
    verdict = decide(sound(corr=corr), max_drawdown=None, corr_bound=None)
    assert blocking(verdict) == ["recent"]
    recent = rule(verdict, "recent")
    assert (recent.kind, recent.eras, recent.first_era) == ("alarm", 52, "0279")
    assert recent.figure < recent.bound < 0
    assert "273 eras before" in recent.text, "an overlap of five eras is left out"
    assert decide(sound(corr=corr), recent_eras=None, max_drawdown=None, corr_bound=None).passed


def test_the_recent_window_is_not_judged_on_a_short_history():
    recent = rule(decide(sound(corr=wave(0.02, n=60), bmc=[], mmc=[])), "recent")
    assert recent.state == "not judged"
    assert "3 eras before the window" in recent.text


def test_the_drawdown_cap_is_a_share_of_the_gain():
    corr = wave(0.02, std=0.005)
    corr[100:200] -= 0.06
    verdict = decide(sound(corr=corr), corr_bound=None, recent_eras=None)
    assert blocking(verdict) == ["drawdown"]
    fall, gain = 4.0, corr.sum()
    assert rule(verdict, "drawdown").figure == pytest.approx(fall / gain, rel=0.15)
    doubled = decide(sound(corr=2 * corr), corr_bound=None, recent_eras=None)
    assert rule(doubled, "drawdown").figure == pytest.approx(rule(verdict, "drawdown").figure)
    assert "gains nothing" in rule(decide(sound(corr=wave(-0.01))), "drawdown").text


def test_the_exposure_cap():
    assert blocking(decide(sound(max_exposure=np.full(ERAS, 0.71)))) == ["exposure"]
    assert decide(sound(max_exposure=np.full(ERAS, 0.71)), max_exposure=0.8).passed


def test_a_champion_is_beaten_only_where_the_difference_is_significant():
    ours = wave(0.02)
    assert decide(sound(corr=ours), champion=measured(ours + wave(0.004, std=0.03, seed=5))).passed
    verdict = decide(sound(corr=ours), champion=measured(ours + wave(0.004, std=0.004, seed=5)))
    assert blocking(verdict) == ["champion"]
    assert "worse against the champion" in rule(verdict, "champion").text
    assert decide(sound(corr=ours), champion=measured(ours - wave(0.004, std=0.004, seed=5))).passed


def test_rounding_is_not_a_finding():
    rounding = np.full(ERAS, -1e-17) * np.linspace(0.9, 1.1, ERAS)
    ours = wave(0.02)
    verdict = decide(sound(corr=ours, bmc=rounding, mmc=rounding), champion=measured(ours - rounding))
    assert verdict.passed
    assert "not distinguishable" in rule(verdict, "champion").text


def test_the_champion_is_compared_on_common_eras_only():
    verdict = decide(sound(), champion=measured(wave(0.05, n=300), first=301))
    assert (rule(verdict, "champion").eras, rule(verdict, "champion").first_era) == (30, "0301")
    for champion, why in [
        (None, "no champion yet"),
        (measured(wave(0.9), target="target_y_60"), "judged on target_y_60"),
        (measured(wave(0.9), first=325), "6 eras in common"),
    ]:
        found = rule(decide(sound(), champion=champion), "champion")
        assert found.state == "not judged"
        assert why in found.text


def test_missing_or_constant_predictions_block_and_so_do_too_few_models():
    assert blocking(decide(sound(missing=1))) == ["predictions"]
    verdict = decide(sound(unscored=("0007", "0009")))
    assert blocking(verdict) == ["predictions"]
    assert "2 eras" in rule(verdict, "predictions").text
    assert "0007" in rule(verdict, "predictions").text
    assert blocking(decide(sound(), trained=1, min_models=2)) == ["models"]
    assert "1 of 3 models" in rule(decide(sound(), trained=1, min_models=2), "models").text


def test_the_horizon_of_the_target_sets_the_width_of_the_bound():
    corr = wave(0.006, h=13, seed=6)
    for days, overlap in ((20, 5), (60, 13)):
        bound = rule(decide(sound(corr=corr), days=days), "corr").bound
        assert bound == certificate(corr, overlap, 0.95).interval.low


def test_worthless_ensembles_seldom_pass():
    passed = [
        decide(measured(wave_of(seed), target="target_x_60", days=60), days=60, max_drawdown=None).passed
        for seed in range(300)
    ]
    assert np.mean(passed) < 0.09


def wave_of(seed, h=13):
    return 0.02 * np.convolve(np.random.default_rng(seed).standard_normal(ERAS + h - 1), np.ones(h), "valid")


def test_shuffled_targets_are_blocked():
    store = MemoryStore(seed=11, n_eras=150)
    asked = {"eras": store.eras, "target": "target_x_20", "horizon_days": 20, "benchmark": "bench"}
    settings = {"recent_eras": None, "max_exposure": None}
    assert decide(score_predictions(store, store.signal, **asked), **settings).passed
    rng = np.random.default_rng(12)
    for start in range(0, len(store.signal), store.rows_per_era):
        rng.shuffle(store.columns["target_x_20"][start : start + store.rows_per_era])
    shuffled = score_predictions(store, store.signal, **asked)
    assert shuffled.summary["corr"].low < 0 < shuffled.summary["corr"].high
    assert "corr" in blocking(decide(shuffled, **settings))


def test_the_gate_holds_twenty_of_twenty_weeks_of_shuffled_targets():
    held = []
    for seed in range(20):
        store = MemoryStore(seed=seed, n_eras=120, rows=40)
        rng = np.random.default_rng(100 + seed)
        for start in range(0, len(store.signal), store.rows_per_era):
            rng.shuffle(store.columns["target_x_20"][start : start + store.rows_per_era])
        asked = {"eras": store.eras, "target": "target_x_20", "horizon_days": 20, "benchmark": "bench"}
        held.append(not decide(score_predictions(store, store.signal, **asked)).passed)
    assert sum(held) == 20  # one by one a worthless ensemble passes in some 2 of 100 weeks


def may_submit(verdict, *, signature="blend-1", round_number=1404, now=NOW, **changes):
    check_may_submit(verdict, signature, round_number, now, GateSettings(**changes))


def test_a_passed_verdict_opens_the_way_for_its_round():
    may_submit(decide(sound()), now=NOW + timedelta(days=5.9))


def test_a_blocked_verdict_never_does():
    with pytest.raises(GateBlockedError, match="corr") as caught:
        may_submit(decide(sound(corr=wave(-0.01))))
    assert caught.value.exit_code == 3


def test_a_verdict_on_another_ensemble_is_refused():
    with pytest.raises(WrongEnsembleError, match="blend-1, not on blend-2"):
        may_submit(decide(sound()), signature="blend-2")


@pytest.mark.parametrize(("number", "says"), [(1405, "older than round 1405"), (1403, "a later round than round 1403")])
def test_a_verdict_for_another_round_is_refused(number, says):
    with pytest.raises(StaleVerdictError, match=says):
        may_submit(decide(sound()), round_number=number)


def test_an_old_verdict_is_refused_and_so_is_one_from_the_future():
    with pytest.raises(StaleVerdictError, match=r"6\.1 days old, gate\.verdict_max_age_days allows 6"):
        may_submit(decide(sound()), now=NOW + timedelta(days=6.1))
    with pytest.raises(StaleVerdictError, match="after now"):
        may_submit(decide(sound()), now=NOW - timedelta(hours=25))


def test_a_clock_that_is_set_back_in_mid_week_does_not_end_the_week():
    may_submit(decide(sound()), now=NOW - timedelta(hours=3))


def test_a_champions_verdict_is_carried_over_for_a_while():
    carried = decide(sound()).carried_to(1408)
    may_submit(carried, round_number=1408, now=NOW + timedelta(days=28))
    with pytest.raises(StaleVerdictError, match="champion_max_age_days allows 60"):
        may_submit(carried, round_number=1408, now=NOW + timedelta(days=61))
    with pytest.raises(StaleVerdictError, match="older than round 1409"):
        may_submit(carried, round_number=1409)


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ScoreInputError, match="time zone"):
        decide(sound(), now=datetime(2026, 11, 21))


def test_the_payout_is_asked_for_only_when_a_bound_is_set():
    paid = sound(payout=wave(0.3, std=0.2, n=100, seed=3))
    assert "payout" not in {rule.name for rule in decide(paid).rules}
    asked = {rule.name: rule for rule in decide(paid, payout_bound=0.0).rules}["payout"]
    assert asked.passed
    assert asked.eras == 100
    assert not decide(paid, payout_bound=0.3).passed
    unknown = {rule.name: rule for rule in decide(sound(), payout_bound=0.0).rules}["payout"]
    assert not unknown.passed, "what cannot be shown is not certified"
