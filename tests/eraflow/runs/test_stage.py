"""A folder with a manifest is finished; anything less is not."""

import json
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.disk.atomic import StorageError, write_bytes
from eraflow.runs import stage

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1000, 1000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
SETTINGS = st.dictionaries(st.text(min_size=1, max_size=6), PLAIN, max_size=4)


def make(folder, signature, files):
    stage.begin(folder, signature)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return stage.finish(
        folder, "train-a", signature, metrics={"rows": 3}, seconds=1.5, peak_mb=10.0, attempts=1, provenance={}
    )


def test_a_finished_folder_is_found_again_with_its_figures(tmp_path):
    made = make(tmp_path / "s", "abc", {"a.bin": b"1", "deep/b.bin": b"22"})
    found = stage.finished(tmp_path / "s", "abc")
    assert found is not None
    assert found.reused
    assert not made.reused
    assert found.files == made.files
    assert found.metrics == {"rows": 3}
    assert stage.StageRecord.from_dict(json.loads(json.dumps(found.as_dict()))) == found


@pytest.mark.parametrize("damage", ["changed", "shortened", "removed", "no manifest", "torn manifest"])
def test_a_damaged_folder_is_not_finished(tmp_path, damage):
    folder = tmp_path / "s"
    make(folder, "abc", {"a.bin": b"content"})
    match damage:
        case "changed":
            (folder / "a.bin").write_bytes(b"CONTENT")
        case "shortened":
            (folder / "a.bin").write_bytes(b"con")
        case "removed":
            (folder / "a.bin").unlink()
        case "no manifest":
            (folder / stage.MANIFEST).unlink()
        case "torn manifest":
            (folder / stage.MANIFEST).write_text('{"name": "tra')
    assert stage.finished(folder, "abc") is None
    with pytest.raises(stage.DamagedStageError, match="damaged_stage"):
        stage.require(folder)


def test_another_signature_empties_the_folder_and_the_same_one_keeps_its_parts(tmp_path):
    folder = tmp_path / "s"
    stage.begin(folder, "one")
    (folder / "fold-0").write_text("half the work")
    stage.begin(folder, "one")
    assert (folder / "fold-0").exists()
    stage.begin(folder, "two")
    assert not (folder / "fold-0").exists()


def test_a_folder_that_is_not_ours_is_never_emptied(tmp_path):
    mine = tmp_path / "features" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("years of work")
    with pytest.raises(StorageError, match="was not made by Eraflow"):
        stage.begin(tmp_path / "features", "abc")
    assert mine.read_text() == "years of work"


def test_a_copied_run_reads_its_own_files(tmp_path):
    make(tmp_path / "first" / "blend", "abc", {"a.bin": b"1"})
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    assert stage.require(tmp_path / "copy" / "blend").path == tmp_path / "copy" / "blend"


def test_beginning_again_takes_the_manifest_away_first(tmp_path):
    folder = tmp_path / "s"
    make(folder, "abc", {"a": b"1"})
    stage.begin(folder, "abc")
    assert stage.read_manifest(folder) is None


def test_the_ledger_and_the_log_are_not_content(tmp_path):
    folder = tmp_path / "s"
    make(folder, "abc", {"a": b"1", stage.LEDGER: b"row\n", "stage.log": b"words"})
    (folder / stage.LEDGER).write_text("more rows\n")
    assert stage.finished(folder, "abc") is not None


@given(settings=SETTINGS, name=st.text(min_size=1, max_size=5), other=PLAIN)
def test_the_signature_changes_with_what_matters_and_with_nothing_else(settings, name, other):
    def signature(**changes):
        parts = {"name": "s", "settings": settings, "inputs": {"a": "1"}, "code": "c", **changes}
        return stage.stage_signature(**parts)

    assert signature() == signature(settings=dict(reversed(settings.items())))
    if settings.get(name, object()) != other:
        assert signature() != signature(settings={**settings, name: other}) or settings.get(name) == other
    assert signature() != signature(inputs={"a": "2"})
    assert signature() != signature(inputs={"b": "1"})
    assert signature() != signature(code="d")
    assert signature() != signature(name="t")


def test_a_manifest_from_before_there_were_estimates_is_read(tmp_path):
    stage.begin(tmp_path / "s", "sig")
    stage.finish(tmp_path / "s", "s", "sig", metrics={}, seconds=1, peak_mb=None, attempts=1, provenance={})
    path = tmp_path / "s" / stage.MANIFEST
    values = json.loads(path.read_text())
    del values["estimate"]
    path.write_text(json.dumps(values))
    record = stage.finished(tmp_path / "s", "sig")
    assert record is not None
    assert record.estimate == {}


def test_what_the_watch_writes_is_no_content(tmp_path):
    stage.begin(tmp_path / "s", "sig")
    for name in ("watch.json", "training.json", "result.txt"):
        (tmp_path / "s" / name).write_text("{}")
    record = stage.finish(tmp_path / "s", "s", "sig", metrics={}, seconds=1, peak_mb=1, attempts=1, provenance={})
    assert set(record.files) == {"result.txt"}


FILES = {"a.bin": b"1" * 3000, "deep/b.bin": b"2" * 2000, "c.json": b"{}"}
TOUCHES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")


def dies_at(operation, folder, signature):
    """Make the stage in a process that dies right before its so-manieth operation on the folder; whether it died."""
    child = os.fork()
    if child == 0:
        left = operation

        def count(event, arguments):
            nonlocal left
            if event in TOUCHES and str(folder) in str(arguments[0]):
                left -= 1
                if left < 0:
                    os._exit(9)

        # Nothing may leave this branch but by _exit: the copy of the test run would go on as a second one.
        try:
            sys.addaudithook(count)
            stage.begin(folder, signature)
            for name, content in FILES.items():
                write_bytes(folder / name, content)
            stage.finish(folder, "a", signature, metrics={}, seconds=1.0, peak_mb=None, attempts=1, provenance={})
            os._exit(0)
        except BaseException:  # noqa: BLE001 - shown, and told by the exit code
            traceback.print_exc()
        finally:
            os._exit(70)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9), "the child failed: see its traceback above"
    return code == 9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="dies in a forked process")
@settings(deadline=None, max_examples=30)
@given(deaths=st.lists(st.integers(0, 60), min_size=1, max_size=4), change=st.booleans())
def test_wherever_it_dies_a_manifest_never_lies_beside_an_incomplete_folder(deaths, change):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "stage"
        for number, operation in enumerate(deaths):
            signature = f"s{number}" if change else "s"
            dies_at(operation, folder, signature)
            if (folder / stage.MANIFEST).exists():
                record = stage.require(folder)  # raises when a file differs from what the manifest lists
                assert set(record.files) == set(FILES)
                assert {name: (folder / name).read_bytes() for name in FILES} == FILES
        assert not dies_at(10_000, folder, "last")
        assert stage.finished(folder, "last") is not None
        assert sorted(path.name for path in folder.rglob(".*.tmp")) == []
