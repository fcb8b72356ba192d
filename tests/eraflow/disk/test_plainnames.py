"""A name that comes from data never leads out of the folder that it is joined to."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from eraflow.disk.digest import value_sha256
from eraflow.disk.plainnames import is_plain_name, stays_within
from eraflow.settings.data import DataSettings
from eraflow.settings.models import ModelSettings
from eraflow.tracking.filemanifest import read_marks
from models.ensembles.ensemble import DamagedEnsembleError, read_ensemble

NAMES = st.text(max_size=30) | st.lists(st.sampled_from(["..", ".", "/", "a", "~", "\\", "\0", "v5.3", "-", " "])).map(
    "".join
)
ODD = ["..", ".", "", "../x", "a/../../x", "/etc/passwd", "~/x", "a/b", "a\0b", "..\\x", ".hidden", "x" * 300]
HOME = Path("/home/of/a/run")


@given(NAMES)
@example("../x")
@example("a/..")
def test_a_plain_name_is_a_child_and_a_path_that_stays_is_below(name):
    if is_plain_name(name):
        assert (HOME / name).parent == HOME
        assert (HOME / name).resolve().parent == HOME.resolve()
    if stays_within(name):
        assert HOME.resolve() in (HOME / name).resolve().parents or (HOME / name).resolve() == HOME.resolve()


@given(NAMES)
def test_names_of_members_and_versions_make_folders_of_their_own(name):
    for make in (lambda: ModelSettings(kind="lightgbm", name=name).name, lambda: DataSettings(version=name).version):
        try:
            accepted = make()
        except ValidationError:
            continue
        assert (HOME / accepted).resolve().parent == HOME.resolve()


@given(NAMES)
def test_the_name_after_a_target_is_one_too(target):
    try:
        accepted = ModelSettings(kind="lightgbm", target=target).name
    except ValidationError:
        return
    assert (HOME / accepted).resolve().parent == HOME.resolve()


@pytest.mark.parametrize("name", ODD)
def test_an_ensemble_and_a_manifest_with_such_names_are_refused(tmp_path, name):
    described = {"format": 1, "members": [{"name": name, "files": {}}]}
    (tmp_path / "ensemble.json").write_text(json.dumps({**described, "signature": value_sha256(described)}))
    with pytest.raises(DamagedEnsembleError):
        read_ensemble(tmp_path)
    if not stays_within(name):
        values = {"signature": "s", "files": {name: {"bytes": 1, "sha256": "a"}}}
        (tmp_path / "manifest.json").write_text(json.dumps(values))
        with pytest.raises(ValueError, match="outside of its folder"):
            read_marks(tmp_path / "manifest.json", "s", value_sha256(values))


def test_what_numerai_and_members_are_called_is_plain():
    for name in ("v5.3", "v4.3", "lightgbm", "lightgbm-ender60-residual", "mine_2"):
        assert is_plain_name(name)
    assert stays_within("ensemble/models/lightgbm/model.txt")
