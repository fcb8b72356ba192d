"""What is too good to be true is blocked, and the feature is named; an honest strong model is not."""

import numpy as np
import pytest

from tests.eraflow.gate.test_gate import blocking, decide, measured, rule, sound, wave


def figures(feature="feature_a", **changes):
    honest = {"corr": 0.02, "bound": 0.004, "era_corr": 0.5, "copy": 0.0, "copy_score": 5.0}
    return {"feature": feature, **honest, "corr_era": "0007", "copy_eras": "875 eras 0001 to 0875", **changes}


def leaks(*found, target="target_x_20"):
    return {"features": 95, "targets": {target: {"eras": 875, "rows": 350_000, "features": [figures(), *found]}}}


def test_an_honest_feature_blocks_nothing():
    verdict = decide(sound(), leaks=leaks())
    assert verdict.passed
    assert "none of 95 features" in rule(verdict, "feature_copy").text
    assert rule(verdict, "feature_corr").figure == 0.004


def test_a_copy_is_blocked_by_name_with_its_target_and_share():
    verdict = decide(sound(), leaks=leaks(figures("feature_secret", copy=0.31), target="target_y_60"))
    assert blocking(verdict) == ["feature_copy"]
    text = rule(verdict, "feature_copy").text
    assert "feature_secret and target_y_60" in text
    assert "31%" in text
    assert "feature_a" not in text
    assert decide(sound(), leaks=leaks(figures(copy=0.31)), max_copy=None).passed
    assert decide(sound(), leaks=leaks(figures(copy=0.31)), max_copy=0.5).passed


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"bound": 0.04, "corr": 0.05}, "+0.050 on average"), ({"era_corr": 0.93}, "by 0.93 in era 0007")],
)
def test_a_correlation_beyond_belief_is_blocked_by_name(changes, said):
    verdict = decide(sound(), leaks=leaks(figures("feature_secret", **changes)))
    assert blocking(verdict) == ["feature_corr"]
    assert said in rule(verdict, "feature_corr").text
    assert "feature_secret" in rule(verdict, "feature_corr").text
    assert decide(sound(), leaks=leaks(figures(**changes)), max_feature_corr=None).passed


def test_where_all_features_are_strong_a_strong_one_is_no_leak():
    world = leaks(figures("feature_strong", bound=0.08, corr=0.15))
    assert "feature_corr" in blocking(decide(sound(), leaks=world))
    world["targets"]["target_x_20"]["strong"] = 0.06
    assert decide(sound(), leaks=world).passed


def test_of_many_leaking_features_the_worst_are_named_and_the_others_counted():
    many = [figures(f"feature_{place}", copy=0.1 + place / 100) for place in range(9)]
    text = rule(decide(sound(), leaks=leaks(*many)), "feature_copy").text
    assert "9 features give the answer away" in text
    assert "feature_8" in text
    assert "feature_3" not in text
    assert "and 4 more features" in text


def test_without_the_stage_and_without_any_era_the_rules_say_so():
    for given in (None, {"features": 3, "targets": {"target_x_20": {"eras": 0, "rows": 0, "features": []}}}):
        found = rule(decide(sound(), leaks=given), "feature_copy")
        assert found.state == "not judged"


def test_a_certain_lead_over_the_benchmark_is_not_believed_and_the_strongest_features_are_named():
    ours = wave(0.12)
    verdict = decide(sound(corr=ours), benchmark=measured(wave(0.025, seed=4)), leaks=leaks(figures("b", corr=-0.019)))
    assert blocking(verdict) == ["lead"]
    assert "feature_a +0.020, b -0.019" in rule(verdict, "lead").text
    assert decide(sound(corr=ours), benchmark=measured(wave(0.025, seed=4)), max_lead=None).passed


def test_an_honest_strong_model_leads_and_passes():
    for own, other in ((0.06, 0.03), (0.04, 0.0), (0.18, 0.1)):
        assert decide(sound(corr=wave(own)), benchmark=measured(wave(other, seed=4))).passed


def test_without_common_eras_the_lead_is_not_judged():
    assert "no benchmark" in rule(decide(sound()), "lead").text
    apart = measured(np.array(wave(0.02, n=8)))
    assert "covers 8 judged eras" in rule(decide(sound(), benchmark=apart), "lead").text
