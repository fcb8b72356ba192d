"""Models of runs against each other, on the eras they share."""

import json

import numpy as np
import pytest

from eraflow.disk.atomic import write_json
from eraflow.errors import SettingsError
from eraflow.scoring.compare import compare_runs
from eraflow.scoring.scoring import EraScores, ModelScores
from eraflow.scoring.statistics import overlap_weeks, paired_comparison
from flows.command.cli import main

ERAS = tuple(f"{era:04d}" for era in range(1, 121))


def backtested(folder, series, target="target_ender_20", eras=ERAS):
    """A run folder whose backtest found these per-era CORRs."""
    scores = {
        name: ModelScores(target, 20, 1000, 0, (), {"corr": EraScores(eras, tuple(map(float, values)))}, {}).as_dict()
        for name, values in series.items()
    }
    (folder / "backtest").mkdir(parents=True)
    write_json(folder / "backtest" / "scores.json", scores)
    return folder


@pytest.fixture
def noise():
    return np.random.default_rng(1).normal(0.03, 0.02, 120)


def test_a_better_model_is_called_better_and_a_twin_is_not(tmp_path, noise):
    wobble = np.random.default_rng(2).normal(0, 0.002, 120)
    run = backtested(tmp_path / "run", {"plain": noise, "twin": noise + wobble, "better": noise + 0.01 + wobble})
    table = compare_runs([run], "plain")
    verdicts = {row.model: row.against and row.against.verdict for row in table.rows}
    assert verdicts == {"plain": None, "better": "better", "twin": "not distinguishable"}
    assert [row.model for row in table.rows] == ["plain", "better", "twin"]
    expected = paired_comparison(noise + 0.01 + wobble, noise, overlap_weeks(20))
    assert table.rows[1].against == expected


def test_several_runs_are_compared_on_their_common_eras(tmp_path, noise):
    one = backtested(tmp_path / "one", {"lightgbm": noise})
    two = backtested(tmp_path / "two", {"lightgbm": noise[:100] + 0.01}, eras=ERAS[:100])
    table = compare_runs([one, two])
    assert (table.reference, len(table.eras)) == ("one/lightgbm", 100)
    assert table.rows[1].against.difference == pytest.approx(0.01)


def test_what_cannot_be_compared_is_named(tmp_path, noise):
    one = backtested(tmp_path / "one", {"lightgbm": noise})
    other = backtested(tmp_path / "other", {"lightgbm": noise}, target="target_ender_60")
    apart = backtested(tmp_path / "apart", {"lightgbm": noise}, eras=tuple(f"9{era}" for era in ERAS))
    for runs, options, words in (
        ([tmp_path], {}, "no run with a finished backtest"),
        ([one], {"against": "nobody"}, "the models are lightgbm"),
        ([one, other], {}, "different targets"),
        ([one, apart], {}, "no judged era in common"),
        ([one], {"metric": "mmc"}, "has no mmc"),
        ([one], {"metric": "luck"}, "corr, payout, mmc, bmc, payout_bmc, fnc"),
    ):
        with pytest.raises(SettingsError, match=words):
            compare_runs(runs, **options)


def test_without_a_model_that_covers_few_eras_more_are_in_common(tmp_path, noise):
    run = backtested(tmp_path / "run", {"blend": noise, "one": noise + 0.01})
    scores = json.loads((run / "backtest" / "scores.json").read_text())
    short = ModelScores("target_ender_20", 20, 1, 0, (), {"corr": EraScores(ERAS[60:], tuple(noise[60:]))}, {})
    write_json(run / "backtest" / "scores.json", {**scores, "short": short.as_dict()})
    assert len(compare_runs([run]).eras) == 60
    table = compare_runs([run], only=["one"])
    assert (len(table.eras), [row.model for row in table.rows]) == (120, ["blend", "one"])
    with pytest.raises(SettingsError, match="no model 'two'"):
        compare_runs([run], only=["two"])


def test_the_command_prints_a_table_and_a_record(tmp_path, noise, capsys):
    run = backtested(tmp_path / "run", {"blend": noise, "better": noise + 0.01})
    assert main(["compare", str(run)]) == 0
    assert "120 common eras (0001 to 0120)" in capsys.readouterr().out
    assert main(["compare", str(run), "--json"]) == 0
    assert '"verdict": "better"' in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "none")]) == 2


def test_runs_of_the_same_name_are_told_apart_and_none_is_lost(tmp_path, noise):
    one = backtested(tmp_path / "a" / "run", {"lightgbm": noise})
    two = backtested(tmp_path / "b" / "run", {"lightgbm": noise + 0.01})
    assert [row.model for row in compare_runs([one, two]).rows] == ["a/run/lightgbm", "b/run/lightgbm"]
    with pytest.raises(SettingsError, match="named twice"):
        compare_runs([one, tmp_path / "a" / "." / "run"])


def test_scores_that_cannot_be_read_are_named(tmp_path, noise):
    run = backtested(tmp_path / "run", {"lightgbm": noise})
    for damaged in ("{", "[]", '{"lightgbm": {}}'):
        (run / "backtest" / "scores.json").write_text(damaged)
        with pytest.raises(SettingsError, match=r"scores\.json cannot be read"):
            compare_runs([run])


def test_a_model_without_the_metric_is_told(tmp_path, noise, capsys):
    run = backtested(tmp_path / "run", {"blend": noise, "benchmark": noise})
    scores = json.loads((run / "backtest" / "scores.json").read_text())
    scores["blend"]["per_era"]["bmc"] = scores["blend"]["per_era"]["corr"]
    write_json(run / "backtest" / "scores.json", scores)
    assert main(["compare", str(run), "--metric", "bmc"]) == 0
    assert "Without a BMC: benchmark" in capsys.readouterr().out


def test_unfinished_and_damaged_runs_of_a_pattern_are_left_out_and_named(tmp_path, noise, capsys):
    good = backtested(tmp_path / "good", {"blend": noise, "one": noise + 0.01})
    (tmp_path / "begun" / "features").mkdir(parents=True)
    damaged = backtested(tmp_path / "damaged", {"blend": noise})
    (damaged / "backtest" / "scores.json").write_text('{"blend": 3}')
    (tmp_path / "notes.txt").write_text("mine")
    everything = sorted(tmp_path.iterdir())
    table = compare_runs(everything)
    assert [row.model for row in table.rows] == ["blend", "one"]  # one run is left: its name says nothing
    assert set(table.unfinished) == {str(tmp_path / name) for name in ("begun", "damaged", "notes.txt")}
    assert main(["compare", *map(str, everything)]) == 0
    assert "left out:" in capsys.readouterr().out  # then a path, on this line or the next
    assert main(["compare", *map(str, everything), "--json"]) == 0
    assert (
        "no run with a finished backtest" in json.loads(capsys.readouterr().out)["unfinished"][str(tmp_path / "begun")]
    )
    with pytest.raises(SettingsError, match="no run with a finished backtest"):
        compare_runs([path for path in everything if path != good and path != damaged])
    with pytest.raises(SettingsError, match="there is no folder"):
        compare_runs([good, tmp_path / "typo"])
