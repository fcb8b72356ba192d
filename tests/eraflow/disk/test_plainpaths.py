"""A path means itself, whatever characters it has."""

import ast
import sqlite3
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy

from eraflow.disk.plainpaths import read_csv, read_parquet, scan_parquet
from eraflow.disk.sqliteurl import sqlite_url
from flows.command.prefectserver.environment import prepare
from models.search.storage import _file, _url

ODD = [
    "mine_[1]",
    "a*b",
    "what?",
    "#1",
    "100%",
    "%41",
    "two  words",
    'it\'s "so"',
    "Übung",
    "$HOME",
    "a=1",
    "~",
    "a&b;c",
]
ROOT = Path(__file__).resolve().parents[3]
PATTERNS = {"read_parquet", "scan_parquet", "read_csv", "scan_csv", "read_ipc", "scan_ipc", "read_ndjson"}


@pytest.mark.parametrize("name", ODD)
def test_a_file_of_exactly_this_name_is_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    frame = pl.DataFrame({"x": [1, 2]})
    for decoy in ("mine_1", "aab", "whatx", "100A", "A"):
        frame.clear().write_parquet(tmp_path / decoy)
    Path(name).mkdir()
    with (Path(name) / name).open("wb") as file:
        frame.write_parquet(file)
    for place in (Path(name) / name, tmp_path / name / name):
        assert read_parquet(place).equals(frame)
        assert scan_parquet(place).collect().equals(frame)
    (Path(name) / "era.csv").write_text("era,x\n0001,2\n")
    assert read_csv(Path(name) / "era.csv", text=["era"]).rows() == [("0001", 2)]


@pytest.mark.parametrize("name", ODD)
def test_a_database_lies_where_its_path_says(tmp_path, name):
    path = tmp_path / name / "x.db"
    path.parent.mkdir()
    engine = sqlalchemy.create_engine(sqlite_url(path))
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE t (a INTEGER)"))
        connection.commit()
    engine.dispose()
    assert [found.name for found in tmp_path.rglob("*")] == [name, "x.db"]
    assert sqlite3.connect(path).execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]


def test_the_search_and_prefect_keep_their_databases_in_an_odd_home(tmp_path, monkeypatch):
    home = tmp_path / "what? #1 %41"
    assert _file(_url(None, home)) == home / "search" / "search.db"
    for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_API_DATABASE_CONNECTION_URL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    prepare(home)
    engine = sqlalchemy.create_engine(sqlite_url(home / "prefect" / "prefect.db"))
    with engine.connect():
        assert (home / "prefect" / "prefect.db").exists()


def test_nobody_hands_a_path_to_a_reader_that_takes_patterns():
    found = []
    for layer in ("eraflow", "models", "tasks", "flows"):
        for path in (ROOT / layer).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                called = node.func if isinstance(node, ast.Call) else None
                if isinstance(called, ast.Attribute) and called.attr in PATTERNS and path.name != "plainpaths.py":
                    owner = called.value.id if isinstance(called.value, ast.Name) else ""
                    if owner in ("pl", "polars"):
                        found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []
