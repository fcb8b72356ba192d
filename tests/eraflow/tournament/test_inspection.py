"""Spoilt bytes are found, or do no harm; and nothing in them ends the process that asks."""

import json
import shutil
import time

import numpy as np
import polars as pl
import pytest

from eraflow.errors import EraflowError
from eraflow.machine.failures import StageCrashed
from eraflow.machine.isolate import run_isolated
from eraflow.tournament.datafiles import DataFiles
from eraflow.tournament.inspection import SpoiltFilesError, inspect_round
from eraflow.tournament.schema import check_contract
from tests.tournament_files import write_tournament

NAMES = ("train", "validation", "live", "train_benchmark_models", "meta_model")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_tournament(tmp_path_factory.mktemp("whole"), train_eras=30, validation_eras=20, rows=40, features=12)


def arguments(files, fresh=(), out=None, **changes):
    told = {
        "fresh": {f"{name}.parquet": str(files.path(name)) for name in fresh},
        "proved": [],
        "files": DataFiles.in_folder(files.folder).as_dict(),
        "data": files.settings().model_dump(mode="json"),
        "auxiliary": [],
        "residual": False,
        "plan": {},
    }
    return {**told, **({} if out is None else {"out": str(out)}), **changes}


def isolated(files, folder, **changes):
    return run_isolated(
        "eraflow.tournament.inspection:inspect_round",
        arguments(files, out=folder, **changes),
        memory_mb=1500,
        timeout_s=60,
        log=lambda _: None,
        folder=folder,
    )


def flipped(content, place):
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def outcomes(*, out, folder, name, places, fresh=True):
    """In a child: what becomes of each flip: "found", "harmless" (the same values), or "changed"."""
    from pathlib import Path

    from tests.tournament_files import TournamentFiles

    folder, path = Path(folder), Path(folder) / f"{name}.parquet"
    files = TournamentFiles(folder, (), {})
    content, values = path.read_bytes(), pl.read_parquet(path)
    found = []
    for place in places:
        path.write_bytes(flipped(content, place))
        try:
            inspect_round(**arguments(files, [name], out))
            found.append("harmless" if pl.read_parquet(path).equals(values) else "changed")
        except EraflowError:
            found.append("found")
        (Path(out) / "done").write_text(json.dumps(found))
    path.write_bytes(content)
    return {"found": found}


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_bit_anywhere_is_found_or_changes_no_value_where_pages_carry_checksums(name, whole, tmp_path):
    """Without any checksum some flips decode to other values; here the writer left checksums in its pages."""
    import pyarrow.parquet as pq

    folder = shutil.copytree(whole.folder, tmp_path / "data")
    path = folder / f"{name}.parquet"
    pq.write_table(pq.read_table(path), path, write_page_checksum=True, row_group_size=400)
    size = path.stat().st_size
    footer = int.from_bytes(path.read_bytes()[-8:-4], "little") + 8
    rng = np.random.default_rng(len(name))
    places = rng.choice(8 * (size - footer), 60, replace=False).tolist()
    (tmp_path / "out").mkdir()
    told = run_isolated(
        "tests.eraflow.tournament.test_inspection:outcomes",
        {"folder": str(folder), "name": name, "places": places, "out": str(tmp_path / "out")},
        memory_mb=1500,
        timeout_s=120,
        log=lambda _: None,
        folder=tmp_path / "out",
    ).value["found"]
    assert len(told) == 60
    assert "changed" not in told
    assert told.count("found") > 30


def test_footers_of_random_bytes_never_end_this_process_and_are_named(whole, tmp_path):
    folder = shutil.copytree(whole.folder, tmp_path / "data")
    files = type(whole)(folder, whole.features, {})
    path = files.path("validation")
    content = path.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little")
    rng = np.random.default_rng(3)
    spoilt = bytearray(content)
    spoilt[-8 - footer : -8] = rng.bytes(footer)
    path.write_bytes(spoilt)
    with pytest.raises((SpoiltFilesError, StageCrashed)) as caught:
        isolated(files, tmp_path / "out", fresh={"validation.parquet": str(path)})
    assert "validation.parquet" in str(caught.value) or (tmp_path / "out" / "now-reading").exists()


def test_a_child_that_is_aborted_over_a_file_leaves_its_name(whole, tmp_path, monkeypatch):
    (tmp_path / "abort.py").write_text(
        "import os\n"
        "from eraflow.tournament import inspection\n"
        "def run(**told):\n"
        "    inspection.verify_parquet = lambda *_: os.abort()\n"
        "    return inspection.inspect_round(**told)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(StageCrashed):
        run_isolated(
            "abort:run",
            arguments(whole, ["live", "train"], tmp_path / "out"),
            memory_mb=1500,
            timeout_s=60,
            log=lambda _: None,
            folder=tmp_path / "out",
        )
    assert (tmp_path / "out" / "now-reading").read_text() == "live.parquet"


def test_what_is_whole_gives_the_contract(whole, tmp_path):
    found = inspect_round(**arguments(whole, NAMES, tmp_path))
    assert found["contract"] == check_contract(DataFiles.in_folder(whole.folder), whole.settings()).as_dict()
    assert list(tmp_path.iterdir()) == []


def test_every_spoilt_file_is_named_at_once(whole, tmp_path):
    folder = shutil.copytree(whole.folder, tmp_path / "data")
    files = type(whole)(folder, whole.features, {})
    for name in ("train", "meta_model"):
        content = bytearray(files.path(name).read_bytes())
        content[300:500] = b"\xff" * 200
        files.path(name).write_bytes(content)
    with pytest.raises(SpoiltFilesError) as caught:
        inspect_round(**arguments(files, NAMES, tmp_path))
    assert set(caught.value.faults) == {"train.parquet", "meta_model.parquet"}


def test_an_impossible_code_is_a_fault_of_a_file_that_nothing_vouches_for(tmp_path):
    files = write_tournament(tmp_path / "data", damage="value_7_hidden")
    with pytest.raises(SpoiltFilesError, match=r"is 7 in row"):
        inspect_round(**arguments(files, ["validation"], tmp_path))
    inspect_round(**arguments(files, ["validation"], tmp_path, proved=["validation.parquet"]))


def test_a_lack_of_memory_is_not_a_fault_of_the_file(whole, tmp_path, monkeypatch):
    from eraflow.machine.failures import StageOutOfMemory
    from eraflow.tournament import filecheck

    def short(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(filecheck.pq, "ParquetFile", short)
    with pytest.raises(StageOutOfMemory, match=r"train\.parquet"):
        inspect_round(**arguments(whole, ["train"], tmp_path))


def empty_groups(path, groups, columns=1):
    """A footer of row groups that hold nothing, written by hand."""
    from eraflow.tournament.footerparts import _varint

    root = b"\x48\x04root" + b"\x15" + _varint(columns << 1) + b"\x00"
    leaf = b"\x15\x02\x25\x02\x18\x01a\x00"
    schema = bytes([0x19, (columns + 1) << 4 | 0x0C]) + root + leaf * columns
    entry = b"\x19\x0c\x16\x00\x16\x00\x00"
    content = b"\x15\x02" + schema + b"\x16\x00" + b"\x19\xfc" + _varint(groups) + entry * groups + b"\x00"
    path.write_bytes(b"PAR1" + content + len(content).to_bytes(4, "little") + b"PAR1")


def test_a_footer_of_a_million_empty_row_groups_ends_quickly(whole, tmp_path):
    folder = shutil.copytree(whole.folder, tmp_path / "data")
    files = type(whole)(folder, whole.features, {})
    empty_groups(files.path("live"), 1_300_000)
    assert files.path("live").stat().st_size > 9_000_000
    began = time.monotonic()
    with pytest.raises(SpoiltFilesError, match=r"1,300,000 row groups"):
        inspect_round(**arguments(files, ["live"], tmp_path))
    with pytest.raises(EraflowError, match=r"1,300,000 row groups"):
        inspect_round(**arguments(files, [], tmp_path))
    assert time.monotonic() - began < 3
