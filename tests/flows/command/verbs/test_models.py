"""`eraflow models` as it is typed: a list that fits 80 columns, decisions, and errors that say what to do."""

import json

import pytest

from eraflow.disk.ownership import mark_home
from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.tracking import Tracker
from flows.command.cli import main
from tests.eraflow.tracking.test_registry import ALPHA, ship, write_ensemble


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two weeks that sandboxes shipped; the tests leave version 2 the champion."""
    place = tmp_path_factory.mktemp("models")
    tracker = Tracker(place / "home", TrackingSettings(registered_model="eraflow-ensemble-sandbox"))
    (place / "scores.json").write_text(json.dumps({"blend": {"summary": {"payout": {"mean": 0.0123}}}}))
    (place / "verdict.json").write_text(json.dumps({"passed": True}))
    given = {"scores": place / "scores.json", "verdict": place / "verdict.json"}
    for number in (1, 2):
        ship(tracker, write_ensemble(place / f"e{number}", seed=number), f"s{number}", seat=ALPHA, **given)
    mark_home(place / "home")
    return place / "home"


def test_the_list_fits_80_columns_and_tells_what_each_is(home, capsys):
    assert main(["models", "--home", str(home)]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "eraflow-ensemble-sandbox" in printed
    newest = next(line for line in printed.splitlines() if line.startswith("2 "))
    for told in ("passed", "+0.0123", "champion"):
        assert told in newest
    assert "slot alpha" in printed
    assert "shipped" in printed


def test_decisions_by_hand_and_their_records(home, capsys):
    def record(*words):
        assert main(["models", *words, "--home", str(home), "--json"]) == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    told = record("promote", "1", "--why", "the newer one drifts")
    assert (told["outcome"], told["version"], told["aliases"]) == ("promoted", 1, ["champion"])
    assert told["decisions"][-1]["why"] == "the newer one drifts"
    assert record("challenger", "2")["aliases"] == ["challenger"]
    told = record("rollback")
    assert (told["outcome"], told["version"]) == ("rolled back", 2)
    versions = record()["versions"]
    assert [each["version"] for each in versions] == [2, 1]
    assert versions[0]["aliases"] == ["champion", "challenger"]
    assert versions[1]["seat"]["slot_name"] == "alpha"


def test_a_person_reads_what_was_done(home, capsys):
    assert main(["models", "--home", str(home), "promote", "2"]) == 0
    assert "Version 2 is now the champion of numerai/v5.3, slot alpha" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["promote", "9"], 2, "there are 1, 2"),
        (["--set", "models=lightgbm"], 2, "no part in the registry"),
        (["--set", "tracking.artifacts=here"], 2, "tracking.artifacts"),
        (["register", "/nowhere"], 2, "nothing_to_register"),
    ],
)
def test_what_cannot_be_is_told_with_what_can(home, capsys, words, code, told):
    assert main(["models", *words, "--home", str(home)]) == code
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_home_without_models_says_so_and_stays_as_it_is(tmp_path, capsys):
    assert main(["models", "--home", str(tmp_path / "none")]) == 0
    assert "No ensemble is registered" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()
