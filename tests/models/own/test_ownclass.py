"""The class of a user's own model: what it must have, and how what it lacks is told."""

import pickle
import re
import shutil
import sys

import pytest

from eraflow.ownkinds import ModelClassError, ModelFileError, ModelPackageError
from models.own.ownclass import class_again, class_in, class_of
from tests.own_models import RIDGE, WHOLE, install_package, write_model_file


def without(method):
    """The example without one of its methods."""
    return re.sub(rf"(    @classmethod\n)?    def {method}\(.*?(?=\n    (def|@)|\Z)", "", RIDGE, flags=re.DOTALL)


def changed(before, after, source=RIDGE):
    assert before in source
    return source.replace(before, after)


@pytest.mark.parametrize("method", ["fit", "predict", "save", "load"])
def test_a_method_that_is_missing_is_named_with_how_it_looks(tmp_path, method):
    path = write_model_file(tmp_path, without(method))
    with pytest.raises(ModelClassError, match=rf"mine\.py:Ridge has no {method}; write .*def {method}\("):
        class_of(f"{path}:Ridge")


@pytest.mark.parametrize(
    ("source", "named"),
    [
        (changed("__init__(self, params)", "__init__(self)"), "def __init__(self, params)"),
        (changed("plan, seed, progress=None", "plan"), "def fit(self, x, y, *, plan, seed, progress=None)"),
        (changed("x, *, plan=None", "x"), "def predict(self, x, *, plan=None)"),
        (changed("def save(self, folder)", "def save(self)"), "def save(self, folder)"),
        (changed("    @classmethod\n", ""), "@classmethod def load(cls, folder)"),
        (changed("class Ridge:", "class Ridge:\n    needs_whole_eras = True"), "take eras, too"),
        (changed("    def fit(", "    async def fit("), "fit does nothing when it is called"),
    ],
)
def test_a_method_that_takes_something_else_is_named_with_how_it_looks(tmp_path, source, named):
    path = write_model_file(tmp_path, source)
    with pytest.raises(ModelClassError, match=re.escape(named)):
        class_of(f"{path}:Ridge")


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("import no_such_library\n" + RIDGE, "no_such_library"),
        ("\n\nx = 1 / 0\n" + RIDGE, "in line 3 of mine.py: ZeroDivisionError"),
        ("import sys\nsys.exit(4)\n" + RIDGE, "in line 2 of mine.py: SystemExit: 4"),
        ("raise SystemError('odd')\n" + RIDGE, "SystemError: odd"),
    ],
)
def test_a_file_that_cannot_be_imported_is_named_with_its_line(tmp_path, source, named):
    path = write_model_file(tmp_path, source)
    with pytest.raises(ModelFileError, match=named):
        class_of(f"{path}:Ridge")
    path.write_text(RIDGE)
    assert class_of(f"{path}:Ridge").label == "mine.py:Ridge", "a failed import leaves nothing behind"


def test_a_file_has_only_the_future_imports_that_it_makes_itself(tmp_path):
    path = write_model_file(
        tmp_path, RIDGE.replace("penalty = params", "penalty: float = params") + "    size: int = 3\n"
    )
    assert class_of(f"{path}:Ridge").learner.__annotations__ == {"size": int}


def test_what_is_no_class_is_named(tmp_path):
    path = write_model_file(tmp_path, "def make(): pass\nRidge = make()\n")
    with pytest.raises(ModelClassError, match="no class Ridge"):
        class_of(f"{path}:Ridge")


def test_a_source_that_has_changed_since_is_refused(tmp_path):
    path = write_model_file(tmp_path)
    planned = class_of(f"{path}:Ridge").origin["sha256"]
    assert class_of(f"{path}:Ridge", planned).origin["sha256"] == planned
    path.write_text(RIDGE + "\n# changed\n")
    with pytest.raises(ModelFileError, match="has changed"):
        class_of(f"{path}:Ridge", planned)


def test_the_same_source_is_the_same_class_wherever_it_lies(tmp_path):
    first = class_of(f"{write_model_file(tmp_path / 'a')}:Ridge").learner
    again = class_in(RIDGE.encode(), "Ridge", tmp_path / "elsewhere.py").learner
    assert again is first
    assert pickle.loads(pickle.dumps(first({"penalty": 3}))).penalty == 3


def test_whole_eras_are_the_classs_own_word(tmp_path):
    assert class_of(f"{write_model_file(tmp_path, WHOLE)}:Relative").needs_whole_eras
    assert not class_of(f"{write_model_file(tmp_path, RIDGE)}:Ridge").needs_whole_eras


def test_a_package_that_is_gone_is_named_when_its_model_is_loaded(tmp_path, monkeypatch, caplog):
    file = install_package(tmp_path / "site", monkeypatch)
    own = class_of("ridge")
    assert own.content is None
    assert class_again(own.origin, "ridge").learner is own.learner
    file.write_text(RIDGE + "\n# another version\n")
    class_again(own.origin, "ridge")
    assert "another version of ridge" in caplog.text
    shutil.rmtree(tmp_path / "site")
    sys.modules.pop("toy_ridge")
    with pytest.raises(ModelPackageError, match="install toy-ridge"):
        class_again(own.origin, "ridge")


def test_an_entry_point_that_names_no_class_is_named(tmp_path, monkeypatch):
    install_package(tmp_path / "site", monkeypatch, cls="Missing")
    with pytest.raises(ModelClassError, match="no class Missing"):
        class_of("ridge")
