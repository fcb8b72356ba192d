"""Ids, eras and files are taken alike by every verb: `predict` (rows), `score` (a table) and `run` (an era store)."""

import gzip
import lzma

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eraflow.data.eralabels import era_label
from eraflow.data.eras import BadEraError
from eraflow.data.footer import BadFeatureValueError, TruncatedFileError, footer_extremes, read_footer
from eraflow.erastore.erawriter import write_era_store
from eraflow.errors import EraflowError
from eraflow.rows.openrows import UnknownFormError, form_of, open_rows
from eraflow.rows.predictionfile import PredictionFileError, read_predictions
from tests.prediction_files import FEATURES, rows

FRAME = rows().with_columns(prediction=pl.int_range(pl.len()) / 255)
ERAS = FRAME["era"].to_list()
IDS = FRAME["id"].to_list()
PREDICTIONS = FRAME["prediction"].to_list()
CODES = FRAME.select(FEATURES).to_numpy()


def eras_and_ids(path, store):
    """What each of the three readers finds."""
    tiles = list(open_rows(path).tiles(FEATURES, most_rows=1000))
    np.testing.assert_array_equal(np.concatenate([tile.codes for tile in tiles]), CODES)
    yield [tile.era for tile in tiles for _ in tile.ids], [name for tile in tiles for name in tile.ids]
    table = read_predictions(path)
    np.testing.assert_allclose(table["prediction"].to_numpy(), PREDICTIONS, atol=1e-12)
    yield None, table["id"].to_list()
    if store is not None:
        made = write_era_store([path], FEATURES, [], store)
        np.testing.assert_array_equal(made.matrix(), CODES)
        yield np.repeat(made.eras, np.diff(made.offsets())).tolist(), np.asarray(made.ids()).astype(str).tolist()


def check(path, store=None, ids=IDS):
    for found, names in eras_and_ids(path, store):
        assert names == ids
        assert found in (None, ERAS)


NUMBERS = [int(era) for era in ERAS]
COLUMNS = {
    "integers": ("era", pa.array(NUMBERS, pa.int16())),
    "unsigned": ("era", pa.array(NUMBERS, pa.uint8())),
    "floats": ("era", pa.array(NUMBERS, pa.float64())),
    "half floats": ("era", pa.array(np.array(NUMBERS, np.float16))),
    "bytes": ("era", pa.array([era.encode() for era in ERAS])),
    "without zeros": ("era", pa.array([str(number) for number in NUMBERS])),
    "with more zeros": ("era", pa.array([f"{number:07d}" for number in NUMBERS])),
    "as 12.0": ("era", pa.array([f"{number}.0" for number in NUMBERS])),
    "categories": ("era", pa.array(ERAS).dictionary_encode()),
    "large strings": ("era", pa.array(ERAS, pa.large_string())),
    "in two spellings": ("era", pa.array([f"{n:0{1 + row % 5}d}" for row, n in enumerate(NUMBERS)])),
    "ids as categories": ("id", pa.array(IDS).dictionary_encode()),
    "ids as large strings": ("id", pa.array(IDS, pa.large_string())),
    "ids as views": ("id", pa.array(IDS, pa.string_view())),
    "ids as bytes": ("id", pa.array([name.encode() for name in IDS])),
}


@pytest.mark.parametrize("groups", [40, 10**6])
@pytest.mark.parametrize("kind", COLUMNS)
def test_every_verb_takes_the_same_ids_and_eras_of_a_parquet_file(tmp_path, kind, groups):
    name, column = COLUMNS[kind]
    table = FRAME.to_arrow()
    table = table.set_column(table.schema.get_field_index(name), name, column)
    pq.write_table(table, tmp_path / "data", row_group_size=groups)
    check(tmp_path / "data", tmp_path / "store")


@pytest.mark.parametrize("dtype", ["string", "category", "object"])
@pytest.mark.parametrize("index", ["id", None])
def test_the_ids_may_be_the_index_of_pandas_with_or_without_a_name(tmp_path, index, dtype):
    frame = FRAME.to_pandas().astype({"id": dtype}).set_index("id")
    frame.index.name = index
    frame.to_parquet(tmp_path / "x.pq")
    check(tmp_path / "x.pq", tmp_path / "store")
    frame.to_csv(tmp_path / "x.parquet")
    check(tmp_path / "x.parquet")


@pytest.mark.parametrize("written", ["7", "07", "0007", " 0007 ", "7.0", "0007.00", "7,0"])
def test_one_era_has_one_label(written):
    assert era_label(written) == "0007"
    assert era_label("X") == "X"
    assert era_label("12345") == "12345"
    assert era_label("0") == "0000"


@pytest.mark.parametrize("label", ["7.5", "-1", "1e3", "x", "2013-01-04", "NaN"])
def test_what_is_no_era_is_named_by_every_verb(tmp_path, label):
    bad = FRAME.with_columns(era=pl.when(pl.int_range(pl.len()) == 50).then(pl.lit(label)).otherwise("era"))
    bad.write_parquet(tmp_path / "x")
    bad.write_csv(tmp_path / "y")
    for act in (
        lambda: list(open_rows(tmp_path / "x").tiles(FEATURES, most_rows=99)),
        lambda: list(open_rows(tmp_path / "y").tiles(FEATURES, most_rows=99)),
        lambda: write_era_store([tmp_path / "x"], FEATURES, [], tmp_path / "store"),
    ):
        with pytest.raises(BadEraError, match=f"row 50 .*{label}"):
            act()


PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}
TEXT = FRAME.write_csv()
SEMICOLONS = FRAME.cast(pl.String).select(pl.all().str.replace(".", ",", literal=True)).write_csv(separator=";")
LINES = TEXT.splitlines(keepends=True)
TEXTS = {
    "commas": TEXT.encode(),
    "semicolons": FRAME.write_csv(separator=";").encode(),
    "semicolons and decimal commas": SEMICOLONS.encode(),
    "tabs": FRAME.write_csv(separator="\t").encode(),
    "bars": FRAME.write_csv(separator="|").encode(),
    "quoted decimal commas": FRAME.cast(pl.String)
    .select(pl.all().str.replace(".", ",", literal=True))
    .write_csv(quote_style="always")
    .encode(),
    "blank lines": "".join(["\n", LINES[0], "\n", *LINES[1:70], "\r\n", " \n", ",,,\n", *LINES[70:], "\n\n"]).encode(),
    "a mark, CR LF and quotes": FRAME.write_csv(quote_style="always", line_terminator="\r\n").encode("utf-8-sig"),
    "sep=": ("sep=;\n" + FRAME.write_csv(separator=";")).encode(),
    "another name in another alphabet": TEXT.replace("feature_other", "größe", 1).encode("cp1252"),
    "names with blanks": (LINES[0].replace(",", ", ") + "".join(LINES[1:])).encode(),
    "eras as floats": FRAME.cast({"era": pl.Int32}).cast({"era": pl.Float64}).write_csv().encode(),
}


@pytest.mark.parametrize("ending", ["", ".csv", ".parquet", ".PARQUET", ".pq", ".txt"])
@pytest.mark.parametrize("pack", PACK)
def test_a_file_is_known_by_its_content_whatever_its_name(tmp_path, pack, ending):
    (tmp_path / f"x{ending}").write_bytes(PACK[pack](TEXT.encode()))
    check(tmp_path / f"x{ending}")
    FRAME.write_parquet(tmp_path / f"y{ending}{pack}")
    check(tmp_path / f"y{ending}{pack}")


@pytest.mark.parametrize("kind", TEXTS)
def test_a_csv_is_read_as_programs_and_people_write_it(tmp_path, kind):
    (tmp_path / "x.csv").write_bytes(TEXTS[kind])
    check(tmp_path / "x.csv")


CAUSES = {
    "the last number is cut": (TEXT[:-3].encode(), "its last line has no end"),
    "a line is cut": ((TEXT + "n1,").encode(), "its last line has no end"),
    "a value too many": ("".join([*LINES[:9], LINES[9][:-1] + ",5\n", *LINES[10:]]).encode(), "row 8 has 13 values"),
    "decimal commas between commas": (TEXT.replace("0.", "0,").encode(), "put quotes around"),
    "UTF-16": (TEXT.encode("utf-16"), "UTF-16"),
    "CR alone": (TEXT.replace("\n", "\r").encode(), "CR alone"),
    "a name without end": (b"id," + b"x" * 10**6 + b"\n", "names is none"),
    "nothing": (b"", "empty"),
    "blank lines only": (b"\n\n\n", "whole line of column names"),
    "a page": (b"<!DOCTYPE html><html><body>503</body></html>\n", "HTML"),
    "JSON": (b'[{"id": "n1", "prediction": 0.5}]\n', "JSON"),
    "a spreadsheet": (b"PK\x03\x04" + bytes(99), "spreadsheet"),
    "a pickle": (b"\x80\x04\x95" + bytes(99), "pickle"),
    "compressed parquet": (gzip.compress(b"PAR1" + bytes(99)), "compressed by gzip"),
    "half of a compressed file": (gzip.compress(TEXT.encode())[:300], "decompressed"),
    "parquet cut short": (b"PAR1" + bytes(99), "not a whole parquet file"),
}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_is_named_and_no_other(tmp_path, cause, ending):
    content, text = CAUSES[cause]
    path = tmp_path / f"x{ending}"
    path.write_bytes(content)
    with pytest.raises(PredictionFileError, match=text) as scored:
        read_predictions(path)
    with pytest.raises((TruncatedFileError, UnknownFormError)) as predicted:
        list(open_rows(path).tiles(FEATURES, most_rows=100))
    for caught in (scored, predicted):
        told = str(caught.value)
        assert str(path) in told
        assert len(told) < 400
        assert ("not a whole parquet file" in told) <= (cause == "parquet cut short")
    assert text in str(predicted.value) or cause == "parquet cut short"


def test_names_that_are_not_there_are_told_with_those_that_are(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("id prediction\nn1 0.5\n")
    with pytest.raises(PredictionFileError, match=r"id prediction.*id and prediction"):
        read_predictions(path)
    path.write_text(",".join(["secret" * 40] * 1 + [f"c{n}" for n in range(300)]) + "\n")
    with pytest.raises(PredictionFileError) as caught:
        read_predictions(path)
    assert len(str(caught.value)) < 400


def test_a_comma_that_may_be_of_thousands_is_not_guessed(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("id;prediction\na;1,234\nb;5,678\n")
    with pytest.raises(PredictionFileError, match="thousands"):
        read_predictions(path)
    path.write_text("id;prediction\na;1,234\nb;0,5\nc;7\nd;\n")
    assert read_predictions(path)["prediction"].to_list() == [1.234, 0.5, 7.0, None]


TYPES = [pa.float16(), pa.float32(), pa.float64(), pa.uint8(), pa.int64(), pa.uint64(), pa.decimal128(23, 2)]
TYPES += [pa.decimal128(38, 0), pa.dictionary(pa.int8(), pa.int64())]


@pytest.mark.parametrize("groups", [40, 10**6])
@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_features_of_every_type_that_exporters_write(tmp_path, kind, groups):
    table = FRAME.to_arrow()
    for name in FEATURES:
        column = pa.array(FRAME[name].to_pandas().astype("float16" if kind == pa.float16() else "int64"))
        column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column.cast(kind, safe=False)
        table = table.set_column(table.schema.get_field_index(name), name, column)
    pq.write_table(table, tmp_path / "x", row_group_size=groups)
    check(tmp_path / "x", tmp_path / "store")
    for _, _, least, most in footer_extremes(read_footer(tmp_path / "x"), FEATURES):
        assert 0 <= least <= most <= 4


@pytest.mark.parametrize("kind", ["Int8", "boolean", "Float32"])
def test_nullable_columns_of_pandas_are_missing_where_they_are_null(tmp_path, kind):
    values = pd.array([1, 0, None] * 85, dtype="Int8").astype(kind)
    FRAME.to_pandas().assign(**dict.fromkeys(FEATURES, values)).to_parquet(tmp_path / "x")
    codes = np.concatenate([tile.codes for tile in open_rows(tmp_path / "x").tiles(FEATURES, most_rows=1000)])
    np.testing.assert_array_equal(codes, np.tile([[1], [0], [2]], (85, len(FEATURES))))
    np.testing.assert_array_equal(write_era_store([tmp_path / "x"], FEATURES, [], tmp_path / "store").matrix(), codes)


def test_a_half_float_that_is_no_code_is_found_although_the_footer_cannot_say_so(tmp_path):
    values = np.full(255, 2, np.float16)
    values[50] = 2.5
    FRAME.to_pandas().assign(**{FEATURES[1]: values}).to_parquet(tmp_path / "x")
    for act in (
        lambda: list(open_rows(tmp_path / "x").tiles(FEATURES, most_rows=99)),
        lambda: write_era_store([tmp_path / "x"], FEATURES, [], tmp_path / "store"),
    ):
        with pytest.raises(BadFeatureValueError, match=rf"{FEATURES[1]} is 2\.5 in row 50"):
            act()


def test_a_folder_and_a_file_that_is_not_there_are_told_apart(tmp_path):
    for place, text in ((tmp_path, "is a folder"), (tmp_path / "no", "is not there")):
        with pytest.raises(Exception, match=text):
            form_of(place)


NESTED = {"lists": pa.array([["n"]] * 255), "structs": pa.array([{"n": "1"}] * 255)}


@pytest.mark.parametrize("column", ["id", "era", "prediction"])
@pytest.mark.parametrize("kind", NESTED)
def test_a_column_that_cannot_hold_what_it_should_is_not_called_damaged(tmp_path, kind, column):
    table = FRAME.to_arrow()
    table = table.set_column(table.schema.get_field_index(column), column, NESTED[kind])
    pq.write_table(table, tmp_path / "x")
    acts = {
        "prediction": [lambda: read_predictions(tmp_path / "x")],
        "era": [
            lambda: list(open_rows(tmp_path / "x").tiles(FEATURES, most_rows=99)),
            lambda: write_era_store([tmp_path / "x"], FEATURES, [], tmp_path / "store"),
        ],
    }
    for act in acts.get(column, [*acts["prediction"], *acts["era"]]):
        with pytest.raises(EraflowError, match=f"x: {column} has type") as caught:
            act()
        assert caught.value.code in ("column_type", "prediction_file")


@pytest.mark.parametrize("column", ["id", "era", "prediction", FEATURES[0]])
def test_a_column_that_is_there_twice_is_not_called_damaged(tmp_path, column):
    table = FRAME.to_arrow()
    pq.write_table(
        pa.Table.from_arrays([*table.columns, table[column]], names=[*table.column_names, column]), tmp_path / "x"
    )
    rows = [
        lambda: list(open_rows(tmp_path / "x").tiles(FEATURES, most_rows=99)),
        lambda: write_era_store([tmp_path / "x"], FEATURES, [], tmp_path / "store"),
    ]
    for act in [*(rows if column != "prediction" else []), lambda: read_predictions(tmp_path / "x")]:
        with pytest.raises(EraflowError, match=r"each (column )?once"):
            act()


def test_decimals_of_too_many_digits_are_not_called_damaged(tmp_path):
    table = FRAME.to_arrow()
    place = table.schema.get_field_index("prediction")
    wide = pa.array(range(table.num_rows)).cast(pa.decimal256(45, 2))
    pq.write_table(table.set_column(place, "prediction", wide), tmp_path / "x")
    with pytest.raises(PredictionFileError, match="at most 38 digits"):
        read_predictions(tmp_path / "x")


def test_predictions_as_categories_and_dates(tmp_path):
    frame = FRAME.to_pandas()
    frame.assign(prediction=frame["prediction"].astype(str).astype("category")).to_parquet(tmp_path / "x")
    assert read_predictions(tmp_path / "x")["prediction"].to_list() == PREDICTIONS
    frame.assign(prediction=pd.Timestamp("2020-01-01")).to_parquet(tmp_path / "x")
    with pytest.raises(PredictionFileError, match="prediction has type timestamp"):
        read_predictions(tmp_path / "x")


def test_row_numbers_without_a_name_are_no_ids_for_any_verb(tmp_path):
    FRAME.drop("id").to_pandas().to_csv(tmp_path / "x")
    for act in (
        lambda: read_predictions(tmp_path / "x"),
        lambda: list(open_rows(tmp_path / "x").tiles(FEATURES, most_rows=99)),
    ):
        with pytest.raises(EraflowError, match="only row numbers"):
            act()
