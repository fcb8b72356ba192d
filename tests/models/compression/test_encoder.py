"""The encoder: five levels of equal size, a row's code is its own, and what was saved is what is read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.machine.failures import StageNaN
from models.base.protocol import DamagedModelError
from models.compression.codedstore import encoder_folder
from models.compression.encoder import Encoder, cuts_of


@pytest.fixture(scope="module")
def encoder(coded):
    return Encoder.load(encoder_folder(coded.folder, "live"))


def test_levels_are_equally_often_in_what_was_learnt_from(coded, encoder):
    codes = encoder.codes(coded.planted.x)
    assert codes.dtype == np.int8
    shares = np.array([(codes == level).mean(axis=0) for level in range(5)])
    np.testing.assert_allclose(shares, 0.2, atol=0.01)


def test_a_rows_code_depends_on_nothing_but_the_row(coded, encoder):
    whole = encoder.codes(coded.planted.x[:700])
    for start, stop in ((0, 1), (3, 300), (255, 258), (699, 700)):
        assert np.array_equal(encoder.codes(coded.planted.x[start:stop], threads=3), whole[start:stop])
    assert encoder.codes(coded.planted.x[:0]).shape == (0, 5)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(-1e3, 1e3, width=32), min_size=5, max_size=200))
def test_the_level_of_a_mean_is_how_many_cuts_lie_below_it(values):
    means = np.array(values, dtype=np.float32)[:, None]
    cuts = cuts_of(means)
    levels = Encoder({}, cuts, (True,), 1).levels(means)[:, 0]
    assert levels.tolist() == [sum(value > cut for cut in cuts[0]) for value in means[:, 0]]
    order = np.argsort(means[:, 0], kind="stable")
    assert (np.diff(levels[order]) >= 0).all()


def test_a_unit_that_says_nothing_has_the_middle_level(coded, encoder):
    silent = replace(encoder, active=(True, False, *encoder.active[2:]))
    codes, usual = silent.codes(coded.planted.x[:50]), encoder.codes(coded.planted.x[:50])
    assert (codes[:, 1] == 2).all()
    assert np.array_equal(np.delete(codes, 1, axis=1), np.delete(usual, 1, axis=1))


def test_what_is_not_finite_is_no_code(coded, encoder):
    spoilt = {**encoder.weights, "mean.bias": np.full(5, np.nan, dtype=np.float32)}
    with pytest.raises(StageNaN, match="code_beta"):
        replace(encoder, weights=spoilt).codes(coded.planted.x[:3])


def test_other_features_are_refused(coded, encoder):
    with pytest.raises(DamagedModelError, match="12 features was given"):
        encoder.codes(coded.planted.x[:3, :11])


def test_it_is_saved_in_the_same_bytes_and_read_without_torch(coded, encoder, tmp_path):
    encoder.save(tmp_path)
    for path in encoder_folder(coded.folder, "live").iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert Encoder.load(tmp_path).signature == encoder.signature
    assert replace(encoder, active=(False,) * 5).signature != encoder.signature
    code = (
        "import sys; from pathlib import Path; import numpy as np; from models.compression.encoder import Encoder;"
        f"Encoder.load(Path({str(tmp_path)!r})).codes(np.zeros((3, 12), np.int8)); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("damage", ["arrays", "description", "gone"])
def test_a_damaged_one_is_named(coded, tmp_path, damage):
    folder = shutil.copytree(encoder_folder(coded.folder, "live"), tmp_path / "encoder")
    if damage == "arrays":
        content = bytearray((folder / "encoder.npy").read_bytes())
        content[-1] ^= 1
        (folder / "encoder.npy").write_bytes(content)
    elif damage == "description":
        (folder / "encoder.json").write_text("{}")
    else:
        (folder / "encoder.npy").unlink()
    with pytest.raises(DamagedModelError, match="encoder"):
        Encoder.load(folder)
