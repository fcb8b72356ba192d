"""Models kept in the home: found again, restored by their hash alone, and never outside of their folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraflow.numerai.pickles import ActivePickle
from eraflow.numerai.uploadstore import (
    KeptModel,
    KeptModelError,
    forget_old,
    keep_model,
    kept_models,
    model_before,
    note_delivered,
    slot_folder,
)

TOLD: dict[str, Any] = {
    "python": "3.11",
    "data_version": "v5.3",
    "slot_id": "slot-1",
    "slot_name": "mine",
    "signature": "abc",
    "round_number": 1404,
    "run_dir": "/runs/one",
}


def keep(folder: Path, tmp_path: Path, text: str) -> KeptModel:
    path = tmp_path / "source.pkl"
    path.write_text(text)
    return keep_model(folder, {"model.pkl": path}, TOLD)


def run_by(kept: KeptModel) -> ActivePickle:
    return ActivePickle(str(kept.upload_id), f"{kept.wanted.stem}-abc.pkl")


def test_the_model_before_is_the_one_that_was_delivered_before(tmp_path: Path) -> None:
    folder = slot_folder(tmp_path / "home", "numerai", "slot-1")
    first = note_delivered(keep(folder, tmp_path, "first"), "upload-1")
    keep(folder, tmp_path, "never delivered")
    second = note_delivered(keep(folder, tmp_path, "second"), "upload-2")
    entries = kept_models(folder)
    assert [entry.sha256 for entry in entries[:2]] == [second.sha256, first.sha256]
    before = model_before(entries, run_by(second))
    assert before.checked().pickle.read_text() == "first"
    note_delivered(before, "upload-1")
    assert model_before(kept_models(folder), run_by(first)).sha256 == second.sha256


def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    folder = tmp_path / "slot"
    first = note_delivered(keep(folder, tmp_path, "same"), "upload-1")
    again = keep(folder, tmp_path, "same")
    assert (again.path, again.upload_id, len(kept_models(folder))) == (first.path, "upload-1", 1)


def test_a_damaged_model_is_not_restored(tmp_path: Path) -> None:
    kept = note_delivered(keep(tmp_path / "slot", tmp_path, "whole"), "upload-1")
    kept.pickle.write_text("tampered")
    with pytest.raises(KeptModelError, match="is not the model that was kept"):
        kept.checked()
    kept.pickle.unlink()
    with pytest.raises(KeptModelError):
        kept.checked()


def test_there_may_be_none_to_restore(tmp_path: Path) -> None:
    only = note_delivered(keep(tmp_path / "slot", tmp_path, "only"), "upload-1")
    with pytest.raises(KeptModelError, match="no earlier model"):
        model_before(kept_models(tmp_path / "slot"), run_by(only))


def test_the_newest_stay(tmp_path: Path) -> None:
    folder = tmp_path / "slot"
    for number in range(5):
        note_delivered(keep(folder, tmp_path, str(number)), f"upload-{number}")
    assert len(forget_old(folder, 2)) == 3
    assert [entry.pickle.read_text() for entry in kept_models(folder)] == ["4", "3"]


def test_a_note_of_another_version_hides_no_other_model(tmp_path: Path) -> None:
    folder = tmp_path / "slot"
    keep(folder, tmp_path, "good")
    bad = keep(folder, tmp_path, "bad")
    (bad.path / "upload.json").write_text('{"what": 1}')
    assert [entry.pickle.read_text() for entry in kept_models(folder)] == ["good"]


@given(st.text(), st.sampled_from(["../..", "/etc", "a/../../b", "\x00", "slot"]))
def test_no_id_of_a_slot_chooses_a_folder_outside(source: str, slot_id: str) -> None:
    home = Path("/home/of/eraflow")
    found = slot_folder(home, source, slot_id + source)
    assert found.parent == home / "uploads"
    assert found.name.isalnum()
