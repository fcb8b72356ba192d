"""What is kept of a search, and what it may claim."""

import json

import numpy as np
import pytest

from eraflow.data.eras import Window
from eraflow.scoring.payout import TODAY, Payout
from eraflow.settings.search import SearchSettings
from models.search.best import (
    Confirmed,
    DamagedBestError,
    Finalist,
    best_path,
    judged,
    keep,
    read_best,
    search_key,
    tuned_params,
)
from models.search.scored import Sides
from models.search.stage import NoContributionError, scoring_sides, search_model
from tests.models.planted import TARGET, plant
from tests.models.search.searches import arguments, eras_of, report_of

WINDOW = Window(3, ("0001",), tuple(f"{number:04d}" for number in range(20, 60)), 8)
KEY = {"version": "v5.3", "target": "target_ender_60", "features": "medium", "learn": "target"}


def confirmed(*means):
    """The defaults, then finalists, with these mean scores and the same noise."""
    noise = np.random.default_rng(0).normal(0, 0.02, len(WINDOW.test))
    labels = ["defaults", *(f"trial {number}" for number in range(1, len(means)))]
    return [
        Confirmed(Finalist(label, {} if number == 0 else {"max_depth": number}, None, None), noise + mean)
        for number, (label, mean) in enumerate(zip(labels, means, strict=True))
    ]


def test_the_defaults_are_kept_when_no_finalist_does_better_where_it_counts():
    result = judged(confirmed(0.03, 0.02, 0.029), WINDOW, 20)
    assert result["kept"] == "defaults"
    assert result["winner"] == 0
    assert [row["against_defaults"] is None for row in result["table"]] == [True, False, False]
    assert result["table"][1]["against_defaults"]["verdict"] == "worse"


def test_the_best_finalist_is_kept_with_its_comparison():
    result = judged(confirmed(0.03, 0.031, 0.035), WINDOW, 20)
    assert (result["kept"], result["winner"]) == ("searched", 2)
    assert result["table"][2]["against_defaults"]["verdict"] == "better"
    assert result["eras"] == {"first": "0020", "last": "0059", "count": 40}
    for row in result["table"]:
        assert row["low"] < row["mean"] < row["high"]


def test_several_finalists_need_wider_intervals_than_one():
    """Or one of three worthless ones would be called better three times as often."""
    rng = np.random.default_rng(1)
    several = [Confirmed(Finalist(str(number), {}, None, None), rng.normal(0, 0.02, 40)) for number in range(4)]
    several[0] = Confirmed(Finalist("defaults", {}, None, None), several[0].by_era)
    alone = judged(several[:2], WINDOW, 20)["table"][1]["against_defaults"]
    among = judged(several, WINDOW, 20)["table"][1]["against_defaults"]
    assert among["low"] < alone["low"]
    assert among["difference"] == alone["difference"]


def test_eras_without_a_score_count_for_nobody():
    pair = confirmed(0.03, 0.04)
    pair[1].by_era[:5] = np.nan
    assert judged(pair, WINDOW, 20)["eras"]["count"] == 35


def record(study, params, kept="searched"):
    return {"kind": "lightgbm", "key": "k", "study": study, "kept": kept, "params": params, "trials": 60}


def test_what_is_kept_serves_next_week_and_remembers_the_weeks_before(tmp_path):
    assert tuned_params(tmp_path, "lightgbm", "k") is None
    for study, depth in (("one", 3), ("two", 4), ("two", 5), ("three", 6)):
        keep(tmp_path, record(study, {"max_depth": depth, "learning_rate": 0.1}))
    assert tuned_params(tmp_path, "lightgbm", "k") == {"max_depth": 6, "learning_rate": 0.1}
    assert tuned_params(tmp_path, "lightgbm", "k", ["eta"]) == {"max_depth": 6}
    assert tuned_params(tmp_path, "xgboost", "k") is None
    past = read_best(tmp_path, "lightgbm", "k")["history"]
    assert [(one["study"], one["params"]["max_depth"]) for one in past] == [("one", 3), ("two", 5)]


def test_a_damaged_record_is_named_and_written_anew(tmp_path):
    path = keep(tmp_path, record("one", {}))
    assert tuned_params(tmp_path, "lightgbm", "k") == {}
    path.write_text("{")
    with pytest.raises(DamagedBestError, match="search again"):
        tuned_params(tmp_path, "lightgbm", "k")
    keep(tmp_path, record("two", {"max_depth": 3}))
    assert tuned_params(tmp_path, "lightgbm", "k") == {"max_depth": 3}


def test_the_key_tells_apart_whatever_is_learnt_from():
    keys = {
        search_key(**KEY),
        *(search_key(**{**KEY, name: "other"}) for name in KEY),
        search_key(**KEY, source="folder"),
    }
    assert len(keys) == len(KEY) + 2
    assert search_key(**KEY) == search_key(**dict(reversed(KEY.items())))


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "catboost"])
def test_a_search_leaves_its_report_and_what_serves_next_week(home, labels, kind):
    figures = search_model(**arguments(home, labels, kind=kind, params={"n_estimators": 16}, search={"trials": 3}))
    report = report_of(home)
    assert figures["trials"] == len(report["course"]) == 3
    assert report["course"][0]["origin"] == "defaults"
    assert report["confirmation"][0]["label"] == "defaults"
    assert best_path(home, kind, "key").exists()
    kept = tuned_params(home, kind, "key")
    assert kept == report["params"]
    assert (kept == {}) == (report["kept"] == "defaults")
    again = search_model(**{**arguments(home, labels, kind=kind, params={"n_estimators": 16}, search={"trials": 3})})
    assert again == figures  # the same settings, the same bytes
    assert report_of(home) == report


def test_a_found_number_of_trees_is_kept_only_where_it_was_not_stated(home, labels, monkeypatch):
    from models.boosters.lightgbm_model import LightGBMModel

    monkeypatch.setattr(LightGBMModel, "defaults", {**LightGBMModel.defaults, "num_iterations": 16})
    search_model(**arguments(home, labels, params={}, search={"trials": 3}))
    report = report_of(home)
    assert report["kept"] == "defaults" or report["params"]["num_iterations"] in {2, 4, 6, 8, 10, 12, 14, 16}
    assert {line["length"] for line in report["course"] if line["length"]} <= {2, 4, 6, 8, 10, 12, 14, 16}


def test_the_winner_on_shuffled_targets_shows_nothing_where_it_is_confirmed(tmp_path):
    """The trials choose the luckiest; the eras they never saw are not fooled."""
    planted = plant(eras=90, rows=60, features=8, seed=3).shuffled_within_eras(seed=5)
    planted.store(tmp_path / "store")
    search_model(**arguments(tmp_path, planted.eras, search={"trials": 8}))
    report = report_of(tmp_path)
    for row in report["confirmation"]:
        assert row["low"] < 0 < row["high"]
    assert max(line["value"] for line in report["course"] if line["value"] is not None) < 0.15


def test_payout_needs_a_column_that_covers_every_fold(home, labels):
    from eraflow.erastore.erareader import EraStore

    store, cut = EraStore.open(home / "store"), eras_of(labels)
    payout, paid = SearchSettings(objective="payout"), Payout(0.75, 2.25, 0.05)
    with pytest.raises(NoContributionError, match=r"search\.objective=corr"):
        scoring_sides(store, cut, TARGET, payout, ["numerai_meta_model"], paid)
    sides = scoring_sides(store, cut, TARGET, payout, ["numerai_meta_model", TARGET], paid)
    assert (sides.other, sides.payout) == (TARGET, paid)
    assert scoring_sides(store, cut, TARGET, payout, [TARGET], None).payout == TODAY
    assert scoring_sides(store, cut, TARGET, SearchSettings(), [], paid) == Sides(TARGET)


def test_the_report_is_json_for_people_and_machines(home, labels):
    search_model(**arguments(home, labels, search={"trials": 2}))
    text = (home / "out" / "search.json").read_text()
    assert json.loads(text)["space"][0]["why"]
    assert str(home) not in text
