import bz2
import errno
import gzip
import lzma

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from eraflow.data.eraindex import NullEraError, NullIdError
from eraflow.data.eras import BadEraError, UnorderedErasError
from eraflow.data.footer import (
    BadFeatureValueError,
    FeatureTypeError,
    MissingColumnError,
    TruncatedFileError,
    check_feature_types,
    read_footer,
)
from eraflow.data.readable import MissingFileError
from eraflow.disk.atomic import StorageError
from eraflow.disk.spool import Spool
from eraflow.erastore.erawriter import write_era_store
from eraflow.rows import csvrows, parquetrows
from eraflow.rows.openrows import UnknownFormError, open_rows
from eraflow.rows.rowsource import file_identity
from tests.prediction_files import FEATURES, FORMS, rows, write


def read(path, most_rows=1000, skip=0, scratch=None):
    """Everything a source gives, put together again."""
    tiles = list(open_rows(path).tiles(FEATURES, most_rows=most_rows, skip=skip, scratch=scratch))
    return tiles, {
        "id": [name for tile in tiles for name in tile.ids],
        "era": [tile.era for tile in tiles for _ in tile.ids],
        "codes": np.concatenate([tile.codes for tile in tiles]) if tiles else None,
    }


@pytest.fixture(scope="module")
def frame():
    return rows()


@pytest.mark.parametrize("most_rows", [1, 13, 1000])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(frame, tmp_path, monkeypatch, form, most_rows):
    monkeypatch.setattr(csvrows, "BLOCK_BYTES", 700)
    monkeypatch.setattr(parquetrows, "LABEL_ROWS", 50)
    tiles, found = read(write(frame, tmp_path, form), most_rows)
    assert found["id"] == frame["id"].to_list()
    assert found["era"] == frame["era"].to_list()
    np.testing.assert_array_equal(found["codes"], frame.select(FEATURES).to_numpy())
    assert found["codes"].dtype == np.int8
    assert max(len(tile.ids) for tile in tiles) <= most_rows
    progress = [tile.done for tile in tiles]
    assert progress == sorted(progress)
    assert progress[-1] == tiles[-1].total


@pytest.mark.parametrize("form", FORMS)
def test_reading_goes_on_behind_any_era(frame, tmp_path, monkeypatch, form):
    monkeypatch.setattr(csvrows, "BLOCK_BYTES", 700)
    path = write(frame, tmp_path, form)
    for era in range(len(frame["era"].unique()) + 1):
        skip = frame.filter(pl.col("era") <= f"{era:04d}").height
        assert read(path, skip=skip)[1]["id"] == frame["id"].to_list()[skip:]


@pytest.fixture
def spooling(monkeypatch):
    monkeypatch.setattr(parquetrows, "MOST_PAGES", 0)
    monkeypatch.setattr(parquetrows, "BLOCK_BYTES", 600)  # two columns
    monkeypatch.setattr(parquetrows, "SPOOL_BYTES", 600)  # two eras


@pytest.mark.parametrize("form", ["one.parquet", "tiny.parquet"])
def test_rows_that_are_turned_round_on_disk_are_the_same(frame, tmp_path, spooling, form):
    path = write(frame, tmp_path, form)
    for most_rows, skip in ((1000, 0), (13, 0), (1000, 40), (7, 81)):
        _, found = read(path, most_rows, skip, scratch=tmp_path)
        assert found["id"] == frame["id"].to_list()[skip:]
        assert found["era"] == frame["era"].to_list()[skip:]
        np.testing.assert_array_equal(found["codes"], frame.select(FEATURES).to_numpy()[skip:])
    assert [place.name for place in tmp_path.iterdir()] == [path.name]


def test_a_disk_that_refuses_the_spool_is_named(frame, tmp_path, monkeypatch, spooling):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Spool(tmp_path, 2, [3]) as spool:
        monkeypatch.setattr(np, "ascontiguousarray", full)
        with pytest.raises(StorageError, match="disk is full"):
            spool.put(0, np.zeros((3, 2), np.int8))


@pytest.mark.parametrize("rows_a_group", [1_000, 40_000])
def test_large_row_groups_are_seen_from_the_footer(tmp_path, rows_a_group):
    columns = {f"feature_{number}": np.zeros(40_000, np.int8) for number in range(50)}
    frame = pl.DataFrame({"id": ["n"] * 40_000, "era": ["0001"] * 40_000, **columns})
    frame.write_parquet(tmp_path / "polars.parquet", row_group_size=rows_a_group)
    pq.write_table(frame.to_arrow(), tmp_path / "pyarrow.parquet", row_group_size=rows_a_group)
    for name in ("polars.parquet", "pyarrow.parquet"):
        found = parquetrows.ParquetRows(tmp_path / name)._likely_group()
        assert rows_a_group <= found <= 4 * rows_a_group


@pytest.mark.parametrize("text", ["", "NaN", "nan", "NA"])
@pytest.mark.parametrize("number", ["{}", "{}.0"])
def test_missing_values_and_codes_written_as_floats(frame, tmp_path, text, number):
    name = FEATURES[2]
    odd = frame.with_row_index().with_columns(
        pl.when(pl.col("index") % 5 == 0).then(pl.lit(text)).otherwise(pl.format(number, name)).alias(name)
    )
    odd.drop("index").write_csv(tmp_path / "odd.csv", quote_style="never")
    expected = frame.select(FEATURES).to_numpy().copy()
    expected[::5, 2] = 2
    np.testing.assert_array_equal(read(tmp_path / "odd.csv")[1]["codes"], expected)


def test_what_other_programs_write(frame, tmp_path):
    text = frame.write_csv()
    crlf = text.replace("\n", "\r\n").encode("utf-8-sig")
    quoted = frame.write_csv(quote_style="always").encode()
    two_members = gzip.compress(text.encode()[:999]) + gzip.compress(text.encode()[999:])
    for content in (crlf, quoted, text.encode() + b"\n\n", two_members):
        (tmp_path / "other.csv").write_bytes(content)
        assert read(tmp_path / "other.csv")[1]["id"] == frame["id"].to_list()
    frame.to_pandas().set_index("id").to_csv(tmp_path / "indexed.csv")
    unnamed = frame.to_pandas().set_index("id")
    unnamed.index.name = None
    unnamed.to_csv(tmp_path / "unnamed.csv")
    unnamed.to_parquet(tmp_path / "unnamed.parquet")
    for name in ("indexed.csv", "unnamed.csv", "unnamed.parquet"):
        assert read(tmp_path / name)[1]["id"] == frame["id"].to_list()


def change(column, value, row=50):
    def damage(frame):
        here = pl.int_range(pl.len()) == row
        return frame.with_columns(pl.when(here).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))

    return damage


DAMAGES = {
    "seven": (change(FEATURES[3], 7), BadFeatureValueError, f"{FEATURES[3]} is 7.* in row 50, era 0002"),
    "minus one": (change(FEATURES[3], -1), BadFeatureValueError, f"{FEATURES[3]} is -1.* in row 50, era 0002"),
    "a fraction": (change(FEATURES[0], 1.5), BadFeatureValueError, f"{FEATURES[0]} is 1.5 in row 50"),
    "two hundred": (change(FEATURES[0], 200), BadFeatureValueError, f"{FEATURES[0]} is 200.* in row 50"),
    "no era": (lambda frame: frame.drop("era"), MissingColumnError, "era"),
    "no id": (lambda frame: frame.drop("id"), MissingColumnError, "id"),
    "null era": (change("era", None), NullEraError, "row 50"),
    "null id": (change("id", None), NullIdError, "row 50"),
    "odd era": (change("era", "none"), BadEraError, "row 50 .*none"),
    "scattered": (lambda frame: pl.concat([frame, frame.head(3)]), UnorderedErasError, "scattered"),
    "falling": (lambda frame: frame.sort("era", descending=True), UnorderedErasError, "after era"),
}


@pytest.mark.parametrize("form", ["parquet", "one.parquet", "csv.gz"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_bad_rows_are_named(frame, tmp_path, monkeypatch, form, damage):
    monkeypatch.setattr(parquetrows, "MOST_PAGES", 0 if form == "one.parquet" else 1 << 20)
    change, error, text = DAMAGES[damage]
    path = write(change(frame), tmp_path, form)
    with pytest.raises(error, match=text):
        read(path, scratch=tmp_path)


def test_text_in_a_feature_is_named(frame, tmp_path):
    path = write(change(FEATURES[1], "abc")(frame.cast({FEATURES[1]: pl.String})), tmp_path, "csv")
    with pytest.raises(BadFeatureValueError, match=f"{FEATURES[1]} is abc in row 50"):
        read(path)
    path = write(frame.cast({FEATURES[1]: pl.String}), tmp_path, "parquet")
    with pytest.raises(FeatureTypeError, match=FEATURES[1]):
        read(path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.97])
def test_a_file_that_is_cut_short_is_named(frame, tmp_path, form, share):
    path = write(frame, tmp_path, form)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(TruncatedFileError, match=path.name):
        read(path)


def test_damaged_bytes_and_lines_are_named(frame, tmp_path):
    text = frame.write_csv().encode()
    compressed = bytearray(lzma.compress(text))
    compressed[len(compressed) // 2] ^= 255
    lines = text.split(b"\n")
    cases = {
        "flipped.csv.xz": bytes(compressed),
        "short.csv": b"\n".join([*lines[:40], lines[40].rsplit(b",", 2)[0], *lines[41:]]),
        "long.csv": b"\n".join([*lines[:40], lines[40] + b",1", *lines[41:]]),
        "no end.csv": text[:-1],
        "no text.csv": bytes(range(128, 256)) * 9 + b"\n",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TruncatedFileError, match=name):
            read(tmp_path / name)


def test_blank_lines_are_no_rows(frame, tmp_path, monkeypatch):
    monkeypatch.setattr(csvrows, "BLOCK_BYTES", 700)
    lines = frame.write_csv().encode().split(b"\n")
    (tmp_path / "hole.csv").write_bytes(b"\n".join([b"", b"\r", *lines[:40], b"", b"  \r", *lines[40:], b"", b""]))
    assert read(tmp_path / "hole.csv")[1]["id"] == frame["id"].to_list()
    assert read(tmp_path / "hole.csv", skip=40)[1]["id"] == frame["id"].to_list()[40:]


def test_a_header_alone_is_no_rows_and_twice_a_name_is_refused(frame, tmp_path):
    for form in FORMS:
        assert read(write(frame.clear(), tmp_path, form))[0] == []
    (tmp_path / "twice.csv").write_text("id,era,feature_0,feature_0\n")
    with pytest.raises(MissingColumnError, match="twice"):
        open_rows(tmp_path / "twice.csv")
    with pytest.raises(MissingFileError):
        open_rows(tmp_path / "none.csv")


def test_a_file_is_known_by_its_content_and_its_time(frame, tmp_path):
    path = write(frame, tmp_path, "csv")
    first = file_identity(path)
    assert file_identity(path) == first
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    assert file_identity(path)["ends_sha256"] != first["ends_sha256"]


def test_a_file_of_another_form_is_told_what_can_be_read(frame, tmp_path):
    (tmp_path / "data.csv.bz2").write_bytes(bz2.compress(frame.write_csv().encode()))
    with pytest.raises(UnknownFormError, match="compressed by bzip2; decompress it"):
        open_rows(tmp_path / "data.csv.bz2")


def test_row_numbers_are_no_ids_in_a_csv_either(frame, tmp_path):
    numbered = frame.drop("id").with_row_index("").select(pl.all())
    with pytest.raises(MissingColumnError, match="only row numbers"):
        read(write(numbered, tmp_path, "csv"))
    named = frame.select(pl.col("id").alias(""), pl.all().exclude("id"))
    assert read(write(named, tmp_path, "csv"))[1]["id"] == frame["id"].to_list()


@pytest.mark.parametrize("rows_at_once", [1, 50, 10_000])
def test_ids_are_read_together_and_stay_with_their_rows(frame, tmp_path, spooling, monkeypatch, rows_at_once):
    monkeypatch.setattr(parquetrows, "ID_ROWS", rows_at_once)
    path = write(frame, tmp_path, "one.parquet")
    for most_rows in (7, 1000):
        assert read(path, most_rows, 40, scratch=tmp_path)[1]["id"] == frame["id"].to_list()[40:]


@pytest.mark.parametrize(("form", "spools"), [("one.parquet", 1), ("tiny.parquet", 0)])
def test_a_row_group_of_many_eras_is_not_decoded_for_each_of_them(tmp_path, monkeypatch, form, spools):
    made = []
    monkeypatch.setattr(parquetrows, "Spool", lambda *given: made.append(given) or Spool(*given))
    many = rows(eras=40, an_era=30)
    assert read(write(many, tmp_path, form), scratch=tmp_path)[1]["id"] == many["id"].to_list()
    assert len(made) == spools


@pytest.mark.parametrize("writer", ["polars", "pyarrow"])
def test_a_feature_without_a_single_value_is_missing_throughout_whatever_its_type(frame, tmp_path, writer):
    path, name = tmp_path / "data.parquet", FEATURES[2]
    for kind in (pl.Null, pl.Float32, pl.Int8):
        missing = frame.with_columns(pl.lit(None, kind).alias(name))
        if writer == "polars":
            missing.write_parquet(path, row_group_size=40)
        else:
            pq.write_table(missing.to_arrow(), path, row_group_size=40)
        codes = read(path)[1]["codes"]
        assert set(codes[:, 2].tolist()) == {2}
        check_feature_types(read_footer(path), FEATURES)
        store = write_era_store([path], FEATURES, [], tmp_path / f"store-{kind}")
        np.testing.assert_array_equal(store.matrix(store.eras), codes)
