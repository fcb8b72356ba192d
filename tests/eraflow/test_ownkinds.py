"""A user's own kind of model: how it is named, what is read of it without importing it, and what is refused."""

import hashlib
import os
import shutil
import sys

import pytest

from eraflow.errors import SettingsError
from eraflow.kinds import OWN_COST, UnknownKindError, find
from eraflow.ownkinds import (
    ModelClassError,
    ModelFileError,
    ModelPackageError,
    declared_in,
    entry_point,
    is_file_kind,
    module_file,
    own_source,
    short_name,
)
from eraflow.settings.models import ModelSettings
from eraflow.settings.override import settings_from
from eraflow.settings.run import RunSettings
from tests.own_models import RIDGE, WHOLE, install_package, write_model_file


def members(*texts):
    return settings_from("sandbox", {}, [f"models={','.join(texts)}"]).models


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("/a/mine.py:Ridge", "ridge"),
        ("./MyNet.py:_", "mynet"),
        ("x.py:Ünique", "nique"),
        ("x.py:Blend", "blend-model"),
        ("漢.py:漢", "own"),
        ("Two Words", "two-words"),
        ("lightgbm", "lightgbm"),
    ],
)
def test_a_member_is_called_after_its_class(kind, name):
    assert short_name(kind) == name
    ModelSettings(kind="lightgbm", name=short_name(kind))  # it is a file name


@pytest.mark.parametrize("text", ["mine.py", "mine.py:", ":Mine", "mine.py:Mi ne", "mine.txt:Mine", "mine.py:3"])
def test_what_names_no_class_of_a_file_is_no_kind(text):
    assert not is_file_kind(text)
    with pytest.raises(SettingsError, match=r"FILE\.py:Class"):
        settings_from("sandbox", {"models": [{"kind": text}]})


def test_the_short_form_takes_targets_and_marks_and_stores_an_absolute_path(tmp_path, monkeypatch):
    write_model_file(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    kind = f"{tmp_path}/here/mine.py:Ridge"
    found = members("./mine.py:Ridge", "mine.py:Ridge@target_ender_60", "mine.py:Ridge@target_ender_60:residual")
    assert [model.kind for model in found] == [kind] * 3
    assert [model.name for model in found] == ["ridge", "ridge-ender60", "ridge-ender60-residual"]
    assert [(model.target, model.learn) for model in found[1:]] == [
        ("target_ender_60", "target"),
        ("target_ender_60", "residual"),
    ]
    assert settings_from("sandbox", {}, ['models=["./mine.py:Ridge"]']).models[0].kind == kind
    assert RunSettings(models=[{"kind": "mine.py:Ridge"}]).models[0].kind == kind


def test_its_params_are_set_by_its_name(tmp_path):
    path = write_model_file(tmp_path)
    settings = settings_from("sandbox", {}, [f"models=lightgbm,{path}:Ridge", "models.ridge.params.penalty=5"])
    assert settings.models[1].params == {"penalty": 5}
    again = settings_from("sandbox", settings.model_dump(mode="json"), [f"models={path}:Ridge"])
    assert again.models[0].params == {"penalty": 5}, "a model that is known keeps its own settings"


@pytest.mark.parametrize(("marks", "named"), [(":tuned", "no search for"), (":hard", "hard"), ("@", "no target")])
def test_marks_that_do_not_fit_are_named(tmp_path, marks, named):
    path = write_model_file(tmp_path)
    with pytest.raises(SettingsError, match=named):
        members(f"{path}:Ridge{marks}")


def test_a_path_may_hold_commas_colons_and_signs_where_a_list_is_written(tmp_path):
    path = write_model_file(tmp_path / "a,b:c@d")
    settings = settings_from("sandbox", {}, [f'models=["{path}:Ridge@target_ender_60"]'])
    assert (settings.models[0].kind, settings.models[0].target) == (f"{path}:Ridge", "target_ender_60")


def test_stored_settings_are_read_when_the_file_is_gone(tmp_path):
    path = write_model_file(tmp_path)
    stored = RunSettings(models=[{"kind": f"{path}:Ridge"}]).model_dump_json()
    path.unlink()
    assert RunSettings.model_validate_json(stored).models[0].kind == f"{path}:Ridge"


def test_what_a_class_declares_is_read_without_running_it(tmp_path):
    path = write_model_file(tmp_path, "raise RuntimeError('nobody imports me')\n" + WHOLE)
    row = find(f"{path}:Relative")
    assert (row.name, row.path, row.needs_whole_eras, row.searched) == ("relative", f"{path}:Relative", True, False)
    assert (row.cost.base_mb, row.cost.value, row.cost.row) == (200, 10, OWN_COST.row)
    assert row.source == hashlib.sha256(path.read_bytes()).hexdigest()
    assert find(f"{write_model_file(tmp_path)}:Ridge").cost == OWN_COST


@pytest.mark.parametrize(
    ("source", "error", "named"),
    [
        ("class Ridge(:\n", ModelFileError, "line 1 is no Python"),
        ("class Other: pass\n", ModelClassError, "it holds Other"),
        ("x = 1\n", ModelClassError, "no class at all"),
        ("class Ridge:\n    cost = {'value': fast()}\n", ModelClassError, "write the value itself"),
        ("class Ridge:\n    cost = {'speed': 3}\n", ModelClassError, "see Cost"),
        ("class Ridge:\n    cost = 'much'\n", ModelClassError, "see Cost"),
        ("class Ridge:\n    cost = {'value': -1}\n", ModelClassError, "see Cost"),
    ],
)
def test_a_source_that_cannot_be_used_is_named(tmp_path, source, error, named):
    path = write_model_file(tmp_path, source)
    with pytest.raises(error, match=named):
        find(f"{path}:Ridge")


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(ModelFileError, match="cannot be read: No such file"):
        find(f"{tmp_path}/mine.py:Ridge")


def test_a_class_that_is_imported_or_made_is_left_to_the_child(tmp_path):
    for source in ("from somewhere import Ridge\n", "Ridge = make()\n", "if True:\n    class Ridge: pass\n"):
        assert declared_in(source.encode(), tmp_path / "mine.py", "Ridge") == {}


def test_an_entry_point_is_a_kind_while_its_package_is_there(tmp_path, monkeypatch):
    file = install_package(tmp_path / "site", monkeypatch)
    found = own_source("ridge")
    assert (found.path, found.package, found.version) == ("toy_ridge:Ridge", "toy-ridge", "1.0")
    assert "toy_ridge" not in sys.modules
    assert (ModelSettings(kind="ridge").name, find("ridge").source) == ("ridge", found.sha256)
    file.unlink()
    with pytest.raises(ModelPackageError, match="no module toy_ridge"):
        find("ridge")
    shutil.rmtree(tmp_path / "site")
    assert entry_point("ridge") is None
    with pytest.raises(UnknownKindError, match="entry point"):
        find("ridge")
    with pytest.raises(SettingsError, match="entry point"):
        members("ridge")
    with pytest.raises(ModelPackageError, match="install the package"):
        own_source("ridge")


def test_two_packages_that_offer_one_name_are_named(tmp_path, monkeypatch):
    install_package(tmp_path / "one", monkeypatch)
    install_package(tmp_path / "two", monkeypatch, module="toy_other")
    with pytest.raises(ModelPackageError, match="toy-other, toy-ridge"):
        ModelSettings(kind="ridge")


def test_a_package_cannot_take_the_name_of_one_of_eraflows_kinds(tmp_path, monkeypatch):
    install_package(tmp_path / "site", monkeypatch, kind="lightgbm")
    assert find("lightgbm").source == ""


def test_a_module_within_packages_is_found_without_importing_them(tmp_path, monkeypatch):
    write_model_file(tmp_path / "pack_a" / "inner", RIDGE, "ridge.py")
    (tmp_path / "pack_a" / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert module_file("pack_a.inner.ridge") == tmp_path / "pack_a" / "inner" / "ridge.py"
    assert module_file("pack_a.nothing") is None
    assert module_file("no_such_package.ridge") is None


def test_what_is_no_file_is_not_read(tmp_path):
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    for name in ("folder.py", "pipe.py"):
        with pytest.raises(ModelFileError, match=f"{name} is no file"):
            own_source(f"{tmp_path / name}:Mine")
