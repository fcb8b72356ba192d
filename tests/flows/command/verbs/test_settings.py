"""`eraflow settings`, as a user types it."""

import json

import pytest

from eraflow.settings.listing import all_settings
from eraflow.settings.profiles import PROFILES
from eraflow.settings.run import RunSettings
from flows.command.cli import main
from flows.command.verbs.settings import text_of


def told(capsys, *words):
    assert main(["settings", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [40, 80])
def test_no_line_is_wider_than_the_terminal_and_no_setting_is_without_words(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    out = told(capsys)
    named = set(all_settings())
    assert [line for line in out.splitlines() if len(line) > width and " " in line.strip()] == []
    assert named <= set(out.splitlines())
    assert all(setting.text and setting.takes for setting in all_settings().values())


def test_json_holds_every_setting_with_the_defaults_of_each_profile(capsys):
    found = {one["name"]: one for one in json.loads(told(capsys, "--json").splitlines()[-1])["settings"]}
    assert set(found) == set(all_settings())
    for profile in PROFILES:
        made = RunSettings(profile=profile)
        assert found["windows.folds"]["defaults"][profile] == made.windows.folds
        assert found["data.features"]["defaults"][profile] == made.data.features
    assert found["alert.block"]["optional"]
    assert not found["data.version"]["optional"]


@pytest.mark.parametrize(
    ("words", "shown", "not_shown"),
    [
        (["windows.folds"], "default 5 (sandbox 3, workstation 8)", "purge_weeks"),
        (["windows.folds", "--profile", "workstation"], "default 8\n", "sandbox"),
        (["profile"], "default laptop\n", "sandbox sandbox"),
        (["profile", "--profile", "workstation"], "default laptop\n", "default workstation"),
        (["gate"], "gate.corr_bound", "windows"),
        (["models.lightgbm.params.n_estimators"], "models.NAME.params", "models.NAME.target"),
        (["models.catboost"], "models.NAME.tuned", "gate"),
    ],
)
def test_one_setting_or_a_group(words, shown, not_shown, capsys):
    out = told(capsys, *words)
    assert shown in out
    assert not_shown not in out


@pytest.mark.parametrize(
    ("wrong", "right"), [("windows.fold", "windows.folds"), ("gaet", "gate"), ("bmc_bound", "gate.bmc_")]
)
def test_an_unknown_name_finds_the_one_that_was_meant(wrong, right, capsys):
    assert main(["settings", wrong]) == 2
    assert f"did you mean {right}" in capsys.readouterr().err


def test_a_long_word_is_not_lost():
    settings = list(all_settings().values())[:1]
    assert settings[0].name in text_of(settings, list(PROFILES), 10)
