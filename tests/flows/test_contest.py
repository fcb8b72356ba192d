"""A challenger is looked at each week; once it is promoted the main slot ships it, and the former one contests it."""

import json
from pathlib import Path

import pytest

from eraflow.reports.weekreport import week_report
from eraflow.runs.identity import identity
from flows.weekly import weekly
from tests.weeks import tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]
MEMBER = {"params": {"n_estimators": 20, "learning_rate": 0.1}}
MODELS = [{"kind": "lightgbm", **MEMBER}, {"kind": "xgboost", **MEMBER}]
CHALLENGER = [{"name": "solo", "models": ["xgboost"], "challenges": True}]
EASY = {"confidence": 0.51, "margin": -1.0, "weeks": 1}


@pytest.fixture(scope="module")
def weeks(tmp_path_factory, prefect_server):
    """Two weeks in one home, under a rule that any challenger meets at once."""
    home = tmp_path_factory.mktemp("home")
    common = {"models": MODELS, "ensembles": CHALLENGER, "contest": EASY, "tracking": {"enabled": True}}
    return [weekly(tiny(home, run_dir=str(home / name), **common)) for name in ("first", "second")]


def test_a_promotion_counts_from_the_next_week_on(weeks):
    first, second = weeks
    assert (first["recipe"], set(first["blend"]["weights"])) == ("main", {"lightgbm", "xgboost"})
    assert (second["recipe"], set(second["blend"]["weights"])) == ("solo", {"xgboost"})
    assert list(second["ensembles"]) == ["former"]
    assert set(second["ensembles"]["former"]["blend"]["weights"]) == {"lightgbm", "xgboost"}
    own, other = first["submission"]["ensemble_signature"], first["ensembles"]["solo"]["verdict"]["ensemble_signature"]
    assert (second["submission"]["ensemble_signature"], own != other) == (other, True)


def test_each_decision_and_its_reason_stand_in_the_record_and_on_the_page(weeks):
    for record, challenger in zip(weeks, ("solo", "main"), strict=True):
        contest, corr = record["contest"], record["scores"]["blend"]["corr"]
        assert (contest["challenger"], contest["look"]["eras"]) == (challenger, corr["eras"])
        assert contest["why"] in week_report(Path(record["run_dir"]), {})
    assert weeks[0]["contest"]["promoted"]
    assert weeks[0]["contest"]["look"]["difference"] == pytest.approx(
        weeks[0]["ensembles"]["solo"]["scores"]["blend"]["corr"]["mean"] - weeks[0]["scores"]["blend"]["corr"]["mean"]
    )


def test_the_same_round_again_decides_nothing_anew(weeks):
    """The sandbox's round is the same in both weeks: what was decided in it counts from the next round on."""
    assert not weeks[1]["contest"]["promoted"]
    assert "from round" in weeks[1]["contest"]["why"]


def test_both_predictions_of_the_round_are_kept_to_be_scored_later(weeks):
    home = Path(weeks[0]["run_dir"]).parent
    files = sorted(home.glob("contests/*/*/round-*.parquet"))
    assert len(files) == 2  # of two pairs of recipes: there, and back
    assert identity(Path(weeks[0]["run_dir"]))["name"]
    assert json.loads((Path(weeks[1]["run_dir"]) / "recipe.json").read_text()) == {"name": "solo"}
