import errno

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from eraflow.data import footerparts
from eraflow.data.eraindex import NullEraError, NullIdError
from eraflow.data.eras import UnorderedErasError
from eraflow.data.footer import BadFeatureValueError, TruncatedFileError
from eraflow.disk.atomic import StorageError
from eraflow.rows import parquetparts, parquetrows
from eraflow.rows.openrows import open_rows
from eraflow.rows.parquetparts import ParquetParts, parquet_source
from eraflow.rows.parquetrows import ParquetRows
from tests.prediction_files import FEATURES, rows


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(footerparts, "LARGE_FOOTER", 0)
    monkeypatch.setattr(footerparts, "MOST_CHUNKS", 30)


@pytest.fixture(params=["polars", "pyarrow", "pandas"])
def write(request, tmp_path):
    """Writes a frame in row groups of so many rows."""

    def write(frame, group):
        path = tmp_path / "data.parquet"
        if request.param == "polars":
            frame.write_parquet(path, row_group_size=group)
        elif request.param == "pyarrow":
            pq.write_table(frame.to_arrow(), path, row_group_size=group)
        else:
            frame.to_pandas().set_index("id").to_parquet(path, row_group_size=group)
        return path

    return write


def tiles_of(source, most_rows=1000, skip=0, scratch=None):
    return list(source.tiles(FEATURES, most_rows=most_rows, skip=skip, scratch=scratch))


@pytest.mark.parametrize("group", [1, 13, 40, 1000])
def test_parts_give_the_rows_of_the_whole(write, tmp_path, group):
    frame = rows()
    path = write(frame, group)
    source = open_rows(path)
    assert isinstance(source, ParquetParts)
    assert set(source.columns) == set(ParquetRows(path).columns)
    for most_rows in (7, 1000):
        for era in range(len(frame["era"].unique()) + 1):
            skip = frame.filter(pl.col("era") <= f"{era:04d}").height
            tiles = tiles_of(source, most_rows, skip, tmp_path)
            assert [name for tile in tiles for name in tile.ids] == frame["id"].to_list()[skip:]
            assert [tile.era for tile in tiles for _ in tile.ids] == frame["era"].to_list()[skip:]
            codes = np.concatenate([tile.codes for tile in tiles] or [np.zeros((0, len(FEATURES)), np.int8)])
            np.testing.assert_array_equal(codes, frame.select(FEATURES).to_numpy()[skip:])
            done = [tile.done for tile in tiles]
            assert done == sorted(done)
            assert not tiles or done[-1] == tiles[-1].total == len(frame)
    assert [place.name for place in tmp_path.iterdir()] == [path.name]


def test_no_part_has_more_than_its_share_of_the_footer(tmp_path, monkeypatch):
    frame, held = rows(eras=40, an_era=30), []
    frame.write_parquet(tmp_path / "data.parquet", row_group_size=30)
    first = ParquetRows.__init__

    def look(self, path, part=None):
        held.append(pq.read_metadata(part.file))
        part.file.seek(0)
        first(self, path, part)

    monkeypatch.setattr(ParquetRows, "__init__", look)
    tiles_of(parquet_source(tmp_path / "data.parquet"), scratch=tmp_path)
    assert sum(each.num_rows for each in held) == len(frame)
    assert max(each.num_row_groups * each.num_columns for each in held) <= max(30, len(frame.columns))


def test_large_row_groups_of_a_part_are_turned_round_on_disk(tmp_path, monkeypatch):
    made = []
    spool = parquetrows.Spool
    monkeypatch.setattr(parquetrows, "MOST_PAGES", 0)
    monkeypatch.setattr(parquetrows, "Spool", lambda *given: made.append(given) or spool(*given))
    frame = rows()
    frame.write_parquet(tmp_path / "data.parquet", row_group_size=70)
    tiles = tiles_of(parquet_source(tmp_path / "data.parquet"), scratch=tmp_path)
    assert [name for tile in tiles for name in tile.ids] == frame["id"].to_list()
    assert len(made) > 1


def changed(column, value, row=50):
    here = pl.int_range(pl.len()) == row
    return rows().with_columns(pl.when(here).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))


@pytest.mark.parametrize(
    ("frame", "error", "text"),
    [
        (changed(FEATURES[3], 7), BadFeatureValueError, f"{FEATURES[3]} is 7.* in row 50, era 0002"),
        (changed("era", None), NullEraError, "row 50"),
        (changed("id", None), NullIdError, "row 50"),
        (rows().sort("era", descending=True), UnorderedErasError, "after era"),
    ],
)
def test_bad_rows_are_named_with_their_row_of_the_file(tmp_path, frame, error, text):
    frame.write_parquet(tmp_path / "data.parquet", row_group_size=9)
    with pytest.raises(error, match=text):
        tiles_of(parquet_source(tmp_path / "data.parquet"), scratch=tmp_path)


def test_an_odd_or_damaged_footer_is_read_as_a_whole_or_named(tmp_path):
    path = tmp_path / "nested.parquet"
    odd = rows().with_columns(pl.struct("era", "id").alias("both"))
    odd.write_parquet(path, row_group_size=9)
    source = parquet_source(path)
    assert isinstance(source, ParquetRows)
    assert sum(len(tile.ids) for tile in tiles_of(source, scratch=tmp_path)) == len(odd)
    content = bytearray(path.read_bytes())
    content[-300:-200] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(TruncatedFileError, match=r"nested\.parquet"):
        tiles_of(parquet_source(path), scratch=tmp_path)


def test_a_full_disk_is_named_and_reading_goes_without_a_scratch_folder(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    rows().write_parquet(tmp_path / "data.parquet", row_group_size=9)
    source = parquet_source(tmp_path / "data.parquet")
    monkeypatch.setattr(parquetparts, "_copy", full)
    with pytest.raises(StorageError, match="disk is full"):
        tiles_of(source, scratch=tmp_path)
    assert sum(len(tile.ids) for tile in tiles_of(source)) == len(rows())
