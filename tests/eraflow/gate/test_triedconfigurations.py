"""What was tried is found in the home: this week's members, and what earlier weeks judged on the same data."""

import numpy as np

from eraflow.disk.atomic import write_json
from eraflow.disk.ownership import RUN_FILE
from eraflow.gate.triedconfigurations import tried_configurations
from tests.eraflow.gate.test_gate import blocking, decide, measured, rule, sound, wave


def week(home, name, members, *, seed=1, source="numerai", target="target_x_20", blend=True):
    folder = home / "runs" / name
    models = {member: measured(wave(mean), target=target) for member, mean in members.items()}
    models |= {"bench": measured(wave(0.0), target=target)}
    if blend:
        models["blend"] = measured(wave(0.5), target=target)
    write_json(folder / RUN_FILE, {"flow": "weekly", "flow_runs": []})
    write_json(folder / "settings.json", {"source": {"kind": source}, "sandbox": {"seed": seed}})
    write_json(folder / "backtest" / "scores.json", {key: model.as_dict() for key, model in models.items()})
    write_json(folder / "backtest" / "comparisons.json", {key: {"benchmark": "bench"} for key in members})
    return folder


def means(found):
    return sorted(round(float(np.mean(scores.values)), 3) for scores in found)


def test_members_of_this_week_and_members_and_blends_of_earlier_ones_count(tmp_path):
    week(tmp_path, "20261101T000000-weekly", {"a": 0.1, "b": 0.2})
    run = week(tmp_path, "20261108T000000-weekly", {"a": 0.3, "b": 0.4})
    week(tmp_path, "20261115T000000-weekly", {"a": 0.9})  # later: nothing of the future
    assert means(tried_configurations(run, tmp_path, "target_x_20")) == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_other_data_other_targets_and_what_cannot_be_read_do_not_count(tmp_path):
    week(tmp_path, "20261101T000000-weekly", {"a": 0.1}, source="sandbox")
    week(tmp_path, "20261102T000000-weekly", {"a": 0.2}, seed=2)
    week(tmp_path, "20261103T000000-weekly", {"a": 0.25}, target="target_y_60")
    (week(tmp_path, "20261104T000000-weekly", {"a": 0.6}) / "backtest" / "scores.json").write_text("{")
    run = week(tmp_path, "20261108T000000-weekly", {"a": 0.3})
    assert means(tried_configurations(run, tmp_path, "target_x_20")) == [0.3]


def test_an_ensemble_that_is_the_lucky_one_of_many_is_blocked_and_an_edge_is_not():
    rng = np.random.default_rng(5)
    many = [wave(0.0, seed=seed) + 0.001 * rng.standard_normal() for seed in range(20, 50)]
    best = max(many, key=np.mean)
    tried = [measured(scores).per_era["corr"] for scores in many]
    verdict = decide(sound(corr=best), tried=tried, corr_bound=None, max_drawdown=None)
    assert blocking(verdict) == ["choices"]
    assert "30 configurations" in rule(verdict, "choices").text
    assert decide(sound(corr=wave(0.02)), tried=tried).passed
    assert decide(sound(corr=best), tried=tried, corr_bound=None, max_drawdown=None, max_overfit=None).passed
    assert rule(decide(sound()), "choices").state == "not judged"
