"""The versions of Numerai's images, and a newer lock in their place."""

import pytest

from eraflow.rehearsal.pins import PINS, LockFileError, UnknownPythonError, pins_for, take_lock

LOCK = """
[[package]]
name = "{name}"
version = "{version}"
"""


def lock(tmp_path, without=(), **versions):
    names = {**PINS["3.12"], "python-dateutil": "2.9.0.post0", "unused": "1.0", **versions}
    text = "".join(LOCK.format(name=name, version=version) for name, version in names.items() if name not in without)
    text = text.replace('name = "pandas"\n', 'name = "pandas"\ndependencies = {"python-dateutil" = ">=2.8"}\n')
    path = tmp_path / "poetry.lock"
    path.write_text(text)
    return path


def test_each_python_has_its_versions_and_its_own_environment(tmp_path):
    found = {python: pins_for(python, tmp_path) for python in PINS}
    assert len({one.digest for one in found.values()}) == len(PINS)
    assert "xgboost==3.0.5\n" in found["3.11"].requirements()
    assert found["3.11"].versions["lightgbm"] == "4.6.0"


def test_a_newer_lock_stands_before_them_with_what_its_packages_need(tmp_path):
    taken = take_lock(lock(tmp_path, xgboost="3.2.0"), "3.12", tmp_path / "updates", "2027-01-02")
    assert (taken.versions["xgboost"], taken.versions["python-dateutil"]) == ("3.2.0", "2.9.0.post0")
    assert "unused" not in taken.versions
    again = pins_for("3.12", tmp_path / "updates")
    assert (again.read, again.digest) == ("2027-01-02", taken.digest)
    assert again.digest != pins_for("3.12", tmp_path).digest
    assert pins_for("3.11", tmp_path / "updates").read != "2027-01-02"


def test_what_is_no_lock_is_refused(tmp_path):
    (tmp_path / "other.lock").write_text("nothing = [")
    for path in (tmp_path / "other.lock", tmp_path / "absent.lock", lock(tmp_path, without=["xgboost"])):
        with pytest.raises(LockFileError, match="cannot be used"):
            take_lock(path, "3.12", tmp_path / "updates", "2027-01-02")
    assert not (tmp_path / "updates").exists()


def test_a_python_without_an_image_is_named(tmp_path):
    with pytest.raises(UnknownPythonError, match=r"3\.9.*--update"):
        pins_for("3.9", tmp_path)
