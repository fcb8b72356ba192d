"""The cache of bins: the same models with it and without, and nothing half-made is ever used."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from eraflow.disk.atomic import StorageError
from models.boosters.bincache import BinCache
from models.boosters.binentry import BinEntry, BusyError
from models.kinds import make_model
from tests.models.planted import PLAN, fast, plant

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data():
    planted = plant(eras=12, rows=100)
    return planted.x, planted.y


def cache(folder, key="rows 1", most_mb=100):
    return BinCache(folder, key, most_mb)


def saved(data, bins, folder, **over):
    model = make_model("lightgbm", {**fast("lightgbm"), **over.pop("params", {})}, bins=bins, **over)
    model.fit(*data, plan=PLAN, seed=1)
    model.save(folder)
    return hashlib.sha256((folder / "model.txt").read_bytes()).hexdigest()


def bins_in(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.bins")}


class Numbers:
    """A stand-in for a library: counts what it was asked to do."""

    refusals = (ValueError,)

    def __init__(self, size=1000, seconds=0.0):
        self.expected_bytes, self.seconds, self.built, self.loaded = float(size), seconds, 0, 0

    def make(self, path):
        time.sleep(self.seconds)
        self.built += 1
        bins = b"x" * int(self.expected_bytes)
        if path is not None:
            path.write_bytes(bins)
        return bins

    def load(self, path):
        self.loaded += 1
        return path.read_bytes()


def test_the_same_model_with_the_cache_and_without_and_from_it(data, tmp_path):
    expected = saved(data, None, tmp_path / "none")
    assert saved(data, cache(tmp_path / "bins"), tmp_path / "first") == expected
    first = bins_in(tmp_path / "bins")
    assert len(first) == 1
    assert saved(data, cache(tmp_path / "bins"), tmp_path / "second") == expected
    assert bins_in(tmp_path / "bins") == first


def test_a_folder_that_is_taken_away_during_a_build_costs_nothing_but_the_file(tmp_path):
    class Hostile(Numbers):
        def make(self, path):
            bins = super().make(path)
            if path is not None:
                shutil.rmtree(tmp_path / "bins")
            return bins

    assert cache(tmp_path / "bins").get({}, Hostile()) == b"x" * 1000
    assert cache(tmp_path / "bins").get({}, Numbers()) == b"x" * 1000
    assert len(bins_in(tmp_path / "bins")) == 1


def test_an_entry_that_cannot_be_removed_keeps_no_other_out(tmp_path):
    (tmp_path / "bins" / "stuck.bins" / "inside").mkdir(parents=True)
    cache(tmp_path / "bins").get({}, Numbers())
    again = Numbers()
    cache(tmp_path / "bins").get({}, again)
    assert (again.built, again.loaded) == (0, 1)


def test_targets_with_the_same_known_rows_share_a_file_and_others_do_not(data, tmp_path):
    x, y = data
    bins = cache(tmp_path / "bins")
    other = x[:, 3] / 4.0
    expected = saved((x, other), None, tmp_path / "none")
    saved((x, y), bins, tmp_path / "y")
    assert saved((x, other), bins, tmp_path / "other") == expected
    assert len(bins_in(bins.folder)) == 1
    saved((x, np.where(np.arange(len(y)) % 9, y, np.nan)), bins, tmp_path / "fewer")
    saved((x, y), cache(bins.folder, key="other rows"), tmp_path / "key")
    saved((x, y), bins, tmp_path / "columns", columns=[1, 2, 5])
    saved((x, y), bins, tmp_path / "settings", params={"max_bin": 3})
    assert len(bins_in(bins.folder)) == 5


@pytest.mark.parametrize("harm", ["cut short", "changed", "no note", "note of nothing", "not a lightgbm file"])
def test_a_damaged_file_is_made_anew(data, tmp_path, harm):
    bins = cache(tmp_path / "bins")
    expected = saved(data, bins, tmp_path / "first")
    whole = bins_in(bins.folder)
    file, note = next(bins.folder.glob("*.bins")), next(bins.folder.glob("*.json"))
    content = bytearray(file.read_bytes())
    if harm == "cut short":
        file.write_bytes(content[: len(content) // 2])
    elif harm == "changed":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif harm == "no note":
        note.unlink()
        file.write_bytes(b"half of something")
    elif harm == "note of nothing":
        note.write_text("{")
    else:
        entry = BinEntry(bins.folder, file.stem)
        entry.write(lambda path: path.write_bytes(b"something else"), {})
    assert saved(data, bins, tmp_path / "second") == expected
    assert bins_in(bins.folder) == whole
    assert json.loads(note.read_text())["size"] == file.stat().st_size


KILLED = """
import os, signal, sys
from pathlib import Path
import models.boosters.binentry
import models.boosters.lightgbm_pack as pack
from models.boosters.bincache import BinCache
from models.kinds import make_model
from tests.models.planted import PLAN, fast, plant

moment, folder = sys.argv[1], Path(sys.argv[2])

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def half_a_file(layout, path, rows):
    if rows.n_rows == 1200:  # not the trial of the parameters
        pack.pack = die  # sizes and bounds are written, codes are not
    usual(layout, path, rows)

usual = pack.FileLayout.write
if moment == "half written":
    pack.FileLayout.write = half_a_file
if moment == "no note yet":
    models.boosters.binentry.write_json = die
planted = plant(eras=12, rows=100)
model = make_model("lightgbm", fast("lightgbm"), bins=BinCache(folder, "rows 1", 100))
model.fit(planted.x, planted.y, plan=PLAN, seed=1)
"""


@pytest.mark.parametrize("moment", ["half written", "no note yet"])
def test_killed_in_the_middle_and_again_gives_the_same_bytes(data, tmp_path, moment):
    folder = tmp_path / "bins"
    died = subprocess.run(
        [sys.executable, "-c", KILLED, moment, str(folder)], cwd=ROOT, capture_output=True, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    left = [path.name for path in folder.iterdir()]
    assert not any(name.endswith(".json") for name in left)
    assert saved(data, cache(folder), tmp_path / "again") == saved(data, None, tmp_path / "plain")
    saved(data, cache(tmp_path / "whole"), tmp_path / "whole model")
    assert bins_in(folder) == bins_in(tmp_path / "whole")
    assert not [path for path in folder.iterdir() if path.name.endswith(".tmp")]


def test_the_least_recently_used_go_first(tmp_path):
    file = Numbers(size=400 << 10)
    bins = cache(tmp_path, most_mb=1)
    for number in range(2):
        bins.get({"number": number}, file)
    for path in tmp_path.glob("*.json"):
        os.utime(path, (1, 1))
    bins.get({"number": 0}, file)  # used again
    bins.get({"number": 2}, file)
    assert file.loaded == 1
    kept = {path.stem for path in tmp_path.glob("*.bins")}
    assert kept == {bins.signature({"number": number}) for number in (0, 2)}
    assert {path.stem for path in tmp_path.glob("*.lock")} == kept


@pytest.mark.parametrize("most_mb", [0, 1])
def test_what_is_larger_than_the_cache_is_not_kept(tmp_path, most_mb):
    file = Numbers(size=2 << 20)
    bins = cache(tmp_path / "bins", most_mb=most_mb)
    assert len(bins.get({}, file)) == len(bins.get({}, file)) == 2 << 20
    assert file.built == 2
    assert not (tmp_path / "bins").exists()


def test_what_is_being_used_is_not_evicted(tmp_path):
    bins = cache(tmp_path)
    for number in range(2):
        bins.get({"number": number}, Numbers(size=400 << 10))
    used = BinEntry(tmp_path, bins.signature({"number": 0}))
    with used.hold():
        with pytest.raises(BusyError):
            used.hold(wait=False)
        assert BinCache(tmp_path, "rows 1", 0).evict() == [bins.signature({"number": 1})]
    assert used.whole()
    assert BinCache(tmp_path, "rows 1", 0).evict() == [used.signature]
    assert list(tmp_path.iterdir()) == []


def test_several_at_once_build_it_once(tmp_path):
    file, got = Numbers(seconds=0.1), []
    workers = [threading.Thread(target=lambda: got.append(cache(tmp_path).get({}, file))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (file.built, file.loaded) == (1, 3)
    assert len(set(got)) == 1


def test_two_processes_share_a_cache_while_a_third_evicts(tmp_path):
    script = (
        "import sys\nfrom pathlib import Path\nfrom models.boosters.bincache import BinCache\n"
        "from tests.models.boosters.test_bincache import Numbers\n"
        "bins = BinCache(Path(sys.argv[1]), 'rows 1', 1)\n"
        "for turn in range(25):\n"
        "    part = (turn * int(sys.argv[2])) % 5\n"
        "    assert len(bins.get({'number': part}, Numbers(size=300 << 10))) == 300 << 10\n"
        "    turn % 7 or bins.evict()\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(n)], cwd=ROOT) for n in (1, 2, 3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    sizes = [path.stat().st_size for path in tmp_path.glob("*.bins")]
    assert sum(sizes) <= 1 << 20
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_a_cache_that_cannot_be_written_fails_no_fit(tmp_path, data, caplog):
    (tmp_path / "file").write_text("no folder")
    expected = saved(data, None, tmp_path / "none")
    assert saved(data, cache(tmp_path / "file" / "bins"), tmp_path / "first") == expected
    assert "not kept" in caplog.text

    class Full(Numbers):
        def make(self, path):
            if path is not None:
                raise StorageError("the disk is full", "free some space")
            return super().make(path)

    assert len(cache(tmp_path / "bins").get({}, Full())) == 1000
    assert not list((tmp_path / "bins").glob("*.json"))
