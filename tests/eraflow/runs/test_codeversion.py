"""The code version follows what a stage imports."""

import importlib
import sys

import pytest

from eraflow.runs import codeversion


@pytest.fixture
def project(tmp_path, monkeypatch):
    package = tmp_path / "demo"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "stage.py").write_text("from demo import part\n\ndef run():\n    import demo.late\n")
    (package / "part.py").write_text("X = 1\n")
    (package / "late.py").write_text("Y = 1\n")
    (package / "apart.py").write_text("Z = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(codeversion, "PROJECT_PACKAGES", ("demo",))
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == "demo"]:
        del sys.modules[name]


def version():
    codeversion.code_version.cache_clear()
    codeversion._source_path.cache_clear()
    importlib.invalidate_caches()
    return codeversion.code_version("demo.stage")


@pytest.mark.parametrize(("file", "changes"), [("stage", True), ("part", True), ("late", True), ("apart", False)])
def test_it_changes_with_imported_code_only(project, file, changes):
    before = version()
    with (project / f"{file}.py").open("a") as handle:
        handle.write("W = 2\n")
    assert (version() != before) is changes
