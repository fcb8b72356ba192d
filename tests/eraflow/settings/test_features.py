"""`data.features`: a set, a list, a file, a set plus and minus; and every way to get it wrong has its text."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraflow.data.catalog import Catalog, NoFeaturesError, UnknownFeatureSetError
from eraflow.errors import SettingsError
from eraflow.settings.data import DataSettings
from eraflow.settings.features import with_files_read
from eraflow.settings.override import settings_from

CATALOG = Catalog(
    {
        "all": ("feature_a", "feature_b", "feature_c", "feature_d"),
        "small": ("feature_b", "feature_a"),
        "rain": ("feature_c",),
        "own-set": ("feature_d", "feature_a"),
        "none": (),
    },
    (),
)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("small", "ba"),
        ("own-set", "da"),
        ("small+rain", "bac"),
        ("small + feature_d - feature_b", "ad"),
        ("all-small", "cd"),
        ("feature_d,feature_a", "da"),
        ("feature_d feature_a feature_d", "da"),
        (["rain", "+small", "-feature_a"], "cb"),
        (["own-set", "-feature_d"], "a"),
        ("all-feature_a+feature_a", "bcda"),
    ],
)
def test_what_may_be_asked(asked, found):
    assert CATALOG.features(asked) == tuple(f"feature_{letter}" for letter in found)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["small", "rain", "feature_a", "feature_d"])), max_size=6))
def test_plus_and_minus_are_those_of_sets(steps):
    expected: set[str] = set(CATALOG.sets["all"])
    for adds, name in steps:
        names = set(CATALOG.sets.get(name, (name,)))
        expected = expected | names if adds else expected - names
    asked = "all" + "".join(("+" if adds else "-") + name for adds, name in steps)
    if not expected:
        with pytest.raises(NoFeaturesError):
            CATALOG.features(asked)
        return
    found = CATALOG.features(asked)
    assert set(found) == expected
    assert len(found) == len(expected)
    assert CATALOG.features(["all", *(("+" if adds else "-") + name for adds, name in steps)]) == found


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        ("medum", UnknownFeatureSetError, "Its sets are all, small"),
        ("smal", UnknownFeatureSetError, "did you mean small"),
        ("small+feature_aa", UnknownFeatureSetError, "did you mean feature_a"),
        ("-feature_a", NoFeaturesError, "begins by taking feature_a away"),
        ("none", NoFeaturesError, "leaves no feature"),
        ("rain-feature_c", NoFeaturesError, "leaves no feature"),
        ("  ,", NoFeaturesError, "leaves no feature"),
        ("x" * 100_000, UnknownFeatureSetError, "no set and no feature 'xxx"),
    ],
)
def test_what_may_not_be_asked(asked, error, text):
    with pytest.raises(error, match=text) as found:
        CATALOG.features(asked)
    assert len(str(found.value)) < 1000


FILES = {
    "lines.txt": "feature\nfeature_b\n\n# a remark\nfeature_a  # another\n",
    "windows.txt": "\ufefffeature_b\r\nfeature_a\r\n",
    "commas.csv": '"feature_b","feature_a"',
    "list.json": json.dumps(["feature_b", "feature_a"]),
    "object.json": json.dumps({"features": ["feature_b", "feature_a"]}),
    "minus.txt": "small\nfeature_d\n-feature_d",
    "[odd] #1 %41.txt": "feature_b\nfeature_a",
    "my-own+names.txt": "feature_b feature_a",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_when_the_settings_are(tmp_path, name):
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")
    settings = DataSettings(features=str(path))
    path.unlink()  # the run keeps its names, whatever becomes of the file
    assert CATALOG.features(settings.features) == ("feature_b", "feature_a")
    assert DataSettings.model_validate_json(settings.model_dump_json()) == settings


def test_a_set_without_the_names_in_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drop.txt").write_text("feature_a\nfeature_c\n", encoding="utf-8")
    for asked in ("all-./drop.txt", "all - drop.txt", ["all", "-drop.txt"], '["all", "-./drop.txt"]'):
        assert CATALOG.features(DataSettings(features=asked).features) == ("feature_b", "feature_d")


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("files.txt", b"./other.txt", "the name of a file and not of a feature"),
        ("gone.txt", None, "there is no file|cannot be read: No such file"),
        ("empty.txt", b"# nothing\n", "holds no names"),
        ("image.txt", b"\xff\xd8\xff", "not text in UTF-8"),
        ("broken.json", b"[", "is not JSON"),
        ("deep.json", b"[" * 100_000, "is not JSON"),
        ("numbers.json", b"[1, 2]", "holds no list of names"),
        ("huge.txt", b"x" * 10_000_001, "too large"),
    ],
)
def test_a_file_that_holds_no_names_is_named(tmp_path, name, content, text):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError, match=text) as found:
        settings_from("laptop", {"data": {"features": str(tmp_path / name)}})
    assert "data.features" in str(found.value)


def test_a_path_that_is_not_there_is_told_whole(tmp_path):
    for asked in (f"{tmp_path}/my-own.txt", f"all-{tmp_path}/my-own.txt"):
        with pytest.raises(SettingsError, match="there is no file") as found:
            settings_from("laptop", {}, [f"data.features={asked}"])
        assert asked[:40] in str(found.value)


def test_names_with_slashes_are_names_also_when_they_are_read_back(tmp_path):
    (tmp_path / "mine.txt").write_text("feature_price/earnings\n", encoding="utf-8")
    settings = DataSettings(features=str(tmp_path / "mine.txt"))
    assert settings.features == ["feature_price/earnings"]
    assert DataSettings.model_validate_json(settings.model_dump_json()) == settings


def test_names_cannot_be_taken_away_twice(tmp_path):
    (tmp_path / "signs.txt").write_text("-feature_a", encoding="utf-8")
    with pytest.raises(SettingsError, match="leave the signs out"):
        settings_from("laptop", {"data": {"features": ["all", f"-{tmp_path / 'signs.txt'}"]}})


def test_the_command_line_takes_text_and_lists():
    assert settings_from("laptop", {}, ["data.features=medium+rain"]).data.features == "medium+rain"
    assert settings_from("laptop", {}, ['data.features=["a-b","c"]']).data.features == ["a-b", "c"]


def test_a_file_that_has_no_end_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate(1 << 40)
    for asked in (
        "/dev/zero",
        ["medium", f"{tmp_path}/pipe.txt"],
        [f"-{tmp_path}/pipe.txt"],
        str(tmp_path / "large.txt"),
    ):
        with pytest.raises(ValueError, match=r"no regular file|too large"):
            with_files_read(asked)
