"""A dry week with members of every sort: what each learns, how all are judged alike, and that nothing is sent."""

import json
from pathlib import Path

import pytest

from flows.command.starting.summary import summary
from flows.command.terminal.printing import plain
from flows.weekly import weekly
from models.prediction.predictor import whole_eras_in
from tests.weeks import tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture(scope="module")
def dry(tmp_path_factory, prefect_server):
    """A dry run with members on two targets, one that learns a residual, one on selected features, and a bag."""
    home = tmp_path_factory.mktemp("dry")
    fast = {"kind": "lightgbm", "params": {"n_estimators": 30, "learning_rate": 0.1}}
    models = [fast, {**fast, "target": "target_ender_60"}, {**fast, "learn": "residual"}]
    recipes = [{"params": {"max_depth": 3, "num_leaves": 8}}, {"params": {"n_estimators": 10}, "era_step": 2}]
    models.append({**fast, "bag": {"recipes": recipes}})
    selection = {"method": "association", "most": 6, "least": 2, "models": ["lightgbm"], "importance_rows": 40}
    settings = tiny(home, run_dir=str(home / "run"), submit={"dry_run": True}, models=models, selection=selection)
    return settings, weekly(settings)


def test_a_dry_run_stops_before_anything_is_sent(dry):
    _, record = dry
    assert record["outcome"] == "ready"
    assert record["submission"]["state"] is None
    assert Path(record["submission"]["file"]["path"]).exists()


def test_members_learn_what_they_are_told_and_are_judged_on_the_runs_own_target(dry):
    settings, record = dry
    told = record["members"]
    assert {name: (member["learns"], member["purge_weeks"]) for name, member in told.items()} == {
        "lightgbm": ("target_ender_20", 8),
        "lightgbm-ender60": ("target_ender_60", 16),
        "lightgbm-residual": ("target_ender_20 beyond v53_lgbm_ender20", 8),
        "lightgbm-bag": ("target_ender_20 as a bag of 3 fits", 8),
    }
    assert max(told["lightgbm"]["features"]) <= 6
    assert told["lightgbm-ender60"]["features"] == [16, 16, 16]
    assert record["verdict"]["target"] == "target_ender_20"
    spans = {tuple(scores["corr"][key] for key in ("first_era", "last_era", "eras"))
             for name, scores in record["scores"].items() if name in {*told, "blend"}}  # fmt: skip
    assert len(spans) == 1
    assert "target_ender_20 beyond v53_lgbm_ender20" in " ".join(plain(summary(record, settings, "")).split())
    assert len(list(Path(settings.run_dir).glob("train-lightgbm/importance-*.parquet"))) == 2
    # Each learns for live from every era in which its own target is known; 60 days take longer to be known.
    run = Path(settings.run_dir)
    eras = {name: json.loads((run / f"train-{name}" / "manifest.json").read_text())["metrics"]["final_eras"]
            for name in told}  # fmt: skip
    assert eras["lightgbm-ender60"] < eras["lightgbm"]


def test_a_bag_is_a_member_like_the_others(dry):
    settings, record = dry
    run = Path(settings.run_dir)
    assert record["members"]["lightgbm-bag"]["bag"] == "bag of 3 fits"
    ensemble = run / "blend" / "ensemble"
    assert sorted(path.name for path in (ensemble / "models" / "lightgbm-bag").iterdir()) == [
        "learned.json", "model.json", "part-0", "part-1", "part-2",
    ]  # fmt: skip
    assert whole_eras_in(ensemble)
    assert record["scores"]["lightgbm-bag"]["corr"]["eras"] == record["scores"]["blend"]["corr"]["eras"]
    assert "as a bag of 3 fits" in " ".join(plain(summary(record, settings, "")).split())
