"""Spoilt bytes are found, or do no harm; and nothing in them ends the process that asks."""

import shutil
import time

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from eraflow.data.catalog import read_catalog
from eraflow.data.contractcheck import check_contract
from eraflow.data.datafiles import DataFiles
from eraflow.errors import EraflowError
from eraflow.machine.failures import StageCrashed
from eraflow.machine.isolate import run_isolated
from eraflow.machine.job import as_json
from eraflow.numerai.inspection import LiveJob, RoundJob, SpoiltFilesError, decode, inspect_live, inspect_round
from tests.deadly_files import deadly, empty_groups, many_columns
from tests.tournament_files import write_tournament

NAMES = ("train", "validation", "live", "train_benchmark_models", "meta_model")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_tournament(tmp_path_factory.mktemp("whole"), train_eras=30, validation_eras=20, rows=40, features=12)


def arguments(files, fresh=(), out=None, **changes):
    job = RoundJob(
        data=files.settings(),
        files=DataFiles.in_folder(files.folder),
        fresh={f"{name}.parquet": files.path(name) for name in fresh},
        **changes,
    )
    return {"job": as_json(job), "out": str(out), "plan": {}}


def isolated(files, folder, fresh=(), **changes):
    return run_isolated(
        "eraflow.numerai.inspection:inspect_round",
        arguments(files, fresh, out=folder, **changes),
        memory_mb=1500,
        timeout_s=60,
        log=lambda _: None,
        folder=folder,
    )


def flipped(content, place):
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def outcomes(*, out, folder, places):
    """In a child, by file: what becomes of each flip: "found", "harmless" (the same values), or "changed"."""
    from pathlib import Path

    told = {}
    for name, chosen in places.items():
        path = Path(folder) / f"{name}.parquet"
        content, values, told[name] = path.read_bytes(), pl.read_parquet(path), []
        for place in chosen:
            path.write_bytes(flipped(content, place))
            try:
                decode(Path(out), {path.name: str(path)}, {path.name: ()})
                told[name].append("harmless" if pl.read_parquet(path).equals(values) else "changed")
            except EraflowError:
                told[name].append("found")
    return told


def test_a_flipped_bit_anywhere_is_found_or_changes_no_value_where_pages_carry_checksums(whole, tmp_path):
    """Without any checksum some flips decode to other values; here the writer left checksums in its pages."""
    folder, rng, places = shutil.copytree(whole.folder, tmp_path / "data"), np.random.default_rng(5), {}
    for name in NAMES:
        path = folder / f"{name}.parquet"
        pq.write_table(pq.read_table(path), path, write_page_checksum=True, row_group_size=400)
        footer = int.from_bytes(path.read_bytes()[-8:-4], "little") + 8
        places[name] = rng.choice(8 * (path.stat().st_size - footer), 100, replace=False).tolist()
    (tmp_path / "out").mkdir()
    told = run_isolated(
        "tests.eraflow.numerai.test_inspection:outcomes",
        {"folder": str(folder), "places": places, "out": str(tmp_path / "out")},
        memory_mb=1500,
        timeout_s=120,
        log=lambda _: None,
        folder=tmp_path / "out",
    ).value
    for name in NAMES:
        assert len(told[name]) == 100
        assert "changed" not in told[name], name
        assert told[name].count("found") > 50, name


@pytest.mark.parametrize("name", ["live", "train_benchmark_models"])
def test_a_footer_that_kills_its_reader_does_not_end_this_process(name, whole, tmp_path):
    folder = shutil.copytree(whole.folder, tmp_path / "data")
    path = deadly(folder / f"{name}.parquet")
    assert path.is_file()
    with pytest.raises(StageCrashed):
        isolated(type(whole)(folder, whole.features, {}), tmp_path / "out", fresh=[name, "train"])
    assert (tmp_path / "out" / "now-reading").read_text() == f"{name}.parquet"


def footers(*, out, folder, name, seed, count):
    """In a child: how many footers of random changes were named."""
    from pathlib import Path

    from tests.tournament_files import TournamentFiles

    path, rng = Path(folder) / f"{name}.parquet", np.random.default_rng(seed)
    content = path.read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    named = 0
    for _ in range(count):
        spoilt = bytearray(content)
        for place in len(content) - 8 - rng.integers(1, length + 1, rng.integers(1, 4)):
            spoilt[place] = rng.choice([0, 0x7F, 0x80, 0xF9, 0xFF, rng.integers(256)])
        path.write_bytes(spoilt)
        try:
            inspect_round(**arguments(TournamentFiles(Path(folder), (), {}), [name], out))
        except EraflowError:
            named += 1
    return {"named": named}


@pytest.mark.parametrize("name", ["validation"])
def test_footers_of_random_changes_are_whole_or_named(name, whole, tmp_path):
    """Whatever is raised is an error of ours; should one of them kill the child, that is named as well."""
    folder = shutil.copytree(whole.folder, tmp_path / "data")
    (tmp_path / "out").mkdir()
    told = {"folder": str(folder), "name": name, "seed": len(name), "count": 40, "out": str(tmp_path / "out")}
    found = run_isolated(
        "tests.eraflow.numerai.test_inspection:footers",
        told,
        memory_mb=1500,
        timeout_s=120,
        log=lambda _: None,
        folder=tmp_path / "out",
    ).value
    assert found["named"] > 15


def test_a_child_that_is_aborted_over_a_file_leaves_its_name(whole, tmp_path, monkeypatch):
    (tmp_path / "abort.py").write_text(
        "import os\n"
        "from eraflow.numerai import inspection\n"
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
    files = DataFiles.in_folder(whole.folder)
    catalog = read_catalog(files.features_json)
    found = inspect_round(**arguments(whole, NAMES, tmp_path))
    assert found["contract"] == as_json(check_contract(files, whole.settings(), catalog))
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
    inspect_round(**arguments(files, ["validation"], tmp_path, proved=("validation.parquet",)))


def test_a_lack_of_memory_is_not_a_fault_of_the_file(whole, tmp_path, monkeypatch):
    from eraflow.machine.failures import StageOutOfMemory
    from eraflow.numerai import filecheck

    def short(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(filecheck.pq, "ParquetFile", short)
    with pytest.raises(StageOutOfMemory, match=r"train\.parquet"):
        inspect_round(**arguments(whole, ["train"], tmp_path))


@pytest.mark.parametrize(("write", "says"), [(empty_groups, "1,300,000 row groups"), (many_columns, "900,001 columns")])
def test_a_footer_of_a_million_entries_ends_quickly(write, says, whole, tmp_path):
    folder = shutil.copytree(whole.folder, tmp_path / "data")
    files = type(whole)(folder, whole.features, {})
    assert write(files.path("live")).stat().st_size > 7_000_000
    began = time.monotonic()
    with pytest.raises(SpoiltFilesError, match=says):
        inspect_round(**arguments(files, ["live"], tmp_path))
    with pytest.raises(EraflowError, match=says):
        inspect_round(**arguments(files, [], tmp_path))
    assert time.monotonic() - began < 5


def test_the_live_file_alone(whole, tmp_path):
    assert inspect_live(LiveJob({"live.parquet": whole.path("live")}), tmp_path) == {"rows": len(whole.frames["live"])}
    spoilt = tmp_path / "spoilt.parquet"
    spoilt.write_bytes(whole.path("live").read_bytes()[:-30] + b"x" * 30)
    with pytest.raises(SpoiltFilesError, match="PAR1 is missing"):
        inspect_live(LiveJob({"live.parquet": spoilt}), tmp_path)
