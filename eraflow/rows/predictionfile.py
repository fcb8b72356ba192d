"""A table of predictions that somebody wrote: parquet or CSV, in any of the forms that `eraflow predict` reads too."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa

from eraflow.data.footer import MissingColumnError, is_text, read_footer
from eraflow.data.readable import MissingFileError
from eraflow.errors import EraflowError
from eraflow.foreigntext import cut
from eraflow.machine.failures import StageError
from eraflow.rows.csvtext import NO_VALUE, CsvText
from eraflow.rows.openrows import form_of
from eraflow.rows.rowsource import check_ids

NAMES = ("prediction", "probability")
"""What the column of predictions may be called."""
BLOCK_BYTES = 8 << 20
SHOWN = 40
"""Characters of a value in an error."""
WITH_COMMA = r"^[+-]?\d*,\d+([eE][+-]?\d+)?$"
THOUSANDS = r"^[+-]?[1-9]\d{0,2}(,\d{3})+$"


class PredictionFileError(EraflowError):
    """A file of predictions cannot be scored: columns, ids or values are not as they should be."""

    code = "prediction_file"


def read_predictions(path: Path) -> pl.DataFrame:
    """Columns id (str) and prediction (float64; null, NaN and infinite values as they stand there).

    Raises:
        PredictionFileError: no such file, one that cannot be read, a missing column, an id twice, or no number.
    """
    try:
        raw = _of_parquet(path) if form_of(path) == "parquet" else _of_csv(path)
        check_ids(raw["id"], path, 0)
    except (PredictionFileError, StageError):  # the second: memory ran out, which says nothing about the file
        raise
    except MissingFileError as error:
        raise PredictionFileError(f"there is no file {path}", "name the CSV or parquet file of predictions") from error
    except MissingColumnError as error:
        raise PredictionFileError(error.problem, "it needs id and prediction, each once") from error
    except EraflowError as error:
        raise PredictionFileError(error.problem, error.remedy) from error
    kept = raw.with_columns(_numbers(raw["prediction"], path))
    twice = kept.filter(kept["id"].is_duplicated())
    if twice.height:
        raise PredictionFileError(
            f"{path} holds {twice['id'].n_unique()} ids twice or more, such as {twice['id'][0][:SHOWN]!r}",
            "keep one row an id",
        )
    return kept


def _of_parquet(path: Path) -> pl.DataFrame:
    footer = read_footer(path)
    column, name = _prediction_column(list(footer.types), path), footer.require_id()
    kind = pl.String if is_text(footer.types[column]) else pl.Float64
    return footer.read({name: pl.String, column: kind}).select(pl.col(name).alias("id"), prediction=column)


def _of_csv(path: Path) -> pl.DataFrame:
    text = CsvText(path)
    column, name = _prediction_column(text.names, path), text.id_column()
    wanted, parts, row = dict.fromkeys((name, column), pa.string()), [], 0
    for block, _, _ in text.blocks(BLOCK_BYTES):
        parts.append(text.table(block, wanted, first_row=row))
        row += parts[-1].num_rows
    if not parts:
        return pl.DataFrame(schema={"id": pl.String, "prediction": pl.String})
    frame = pl.DataFrame(pl.from_arrow(pa.concat_tables(parts)))
    text.check_index(name, frame[name])
    return frame.select(id=pl.col(name).str.strip_chars(), prediction=pl.col(column).str.strip_chars())


def _prediction_column(names: list[str], path: Path) -> str:
    for name in NAMES:
        if name in names:
            return name
    there = ", ".join(cut(name, SHOWN) for name in names[:8]) + (f" and {len(names) - 8} more" if names[8:] else "")
    raise PredictionFileError(f"{path} has the columns {there}", "it needs id and prediction")


def _numbers(values: pl.Series, path: Path) -> pl.Series:
    """float64 of what was written as text; a decimal comma is one where no other reading is possible."""
    if values.dtype != pl.String:
        return values
    values = values.set(values.is_in([word for word in NO_VALUE if word.lower() != "nan"]), None)
    commas = values.str.contains(WITH_COMMA).fill_null(value=False)
    if commas.any() and not values.str.contains(".", literal=True).any():
        if values.filter(commas).str.contains(THOUSANDS).all():
            raise PredictionFileError(
                f"{path} holds numbers such as {values.filter(commas)[0][:SHOWN]!r}, whose comma may be that of "
                "decimals or of thousands",
                "write predictions with a decimal point",
            )
        values = values.str.replace(",", ".", literal=True)
    numbers = values.cast(pl.Float64, strict=False)
    wrong = numbers.is_null() & values.is_not_null()
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise PredictionFileError(
            f"{path} holds a prediction that is no number: {values[row][:SHOWN]!r} in row {row}", "correct it"
        )
    return numbers
