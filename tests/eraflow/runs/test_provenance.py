"""Where a result comes from."""

import json
import shutil
import subprocess
import sys

import numpy
import psutil
import pytest

from eraflow.runs import provenance as module
from eraflow.runs.provenance import git_state, library_versions, provenance

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def checkout(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("one")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_provenance_is_plain_json_with_real_figures():
    found = json.loads(json.dumps(provenance()))
    assert found["python"] == sys.version.split()[0]
    assert found["libraries"]["numpy"] == numpy.__version__
    assert 1 <= found["cores"] <= psutil.cpu_count()
    assert found["ram_mb"] == psutil.virtual_memory().total // 2**20


def test_library_versions_cannot_be_changed_by_a_caller():
    library_versions()["numpy"] = "0"
    assert library_versions()["numpy"] == numpy.__version__


def test_nothing_heavy_is_imported():
    code = (
        "import sys; from eraflow.runs.provenance import provenance; provenance();"
        "heavy = {'mlflow', 'lightgbm', 'xgboost', 'catboost', 'polars', 'prefect', 'numerai_tools'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@needs_git
def test_a_clean_checkout_then_a_changed_one(checkout):
    clean = git_state(checkout)
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (checkout / "untracked.txt").write_text("does not count")
    assert git_state(checkout) == clean
    (checkout / "a.txt").write_text("two")
    assert git_state(checkout) == {"commit": clean["commit"], "dirty": True}


@needs_git
def test_the_repository_of_a_hook_is_not_mistaken_for_this_one(checkout, tmp_path_factory, monkeypatch):
    outside = tmp_path_factory.mktemp("outside")
    monkeypatch.setenv("GIT_DIR", str(checkout / ".git"))
    assert git_state(outside) is None


def test_outside_a_checkout_and_without_a_commit(tmp_path):
    assert git_state(tmp_path) is None
    if shutil.which("git"):
        git(tmp_path, "init", "-q")
        assert git_state(tmp_path) is None


def test_without_a_git_program(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = provenance()
    assert found["git_commit"] is None
    assert found["git_dirty"] is None


@needs_git
def test_a_package_installed_inside_another_checkout_has_no_commit(checkout, monkeypatch):
    installed = checkout / ".venv" / "site-packages" / "eraflow" / "store"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    monkeypatch.setattr(module, "__file__", str(installed / "provenance.py"))
    assert provenance()["git_commit"] is None
