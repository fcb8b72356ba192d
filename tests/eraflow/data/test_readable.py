"""The cause, not the nearest error: what the system refuses is never called a damaged file."""

import errno
import os
import subprocess
import sys

import polars as pl
import pyarrow as pa
import pytest

from eraflow.data.catalog import CatalogError, read_catalog
from eraflow.data.footer import TruncatedFileError, read_footer
from eraflow.data.readable import MissingFileError, UnreadableFileError, reading, require_file
from eraflow.machine.failures import StageOutOfMemory
from eraflow.numerai.errors import WrongKeyError
from eraflow.numerai.graphql import Endpoint


def raised(error):
    with pytest.raises(Exception) as caught, reading("/data/x.parquet", lambda why: TruncatedFileError(why, "again")):
        raise error
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        RuntimeError("can't start new thread"),
        MemoryError(),
        pa.ArrowMemoryError("malloc of size 64 failed"),
        pl.exceptions.ComputeError("failed to mmap file: Cannot allocate memory (os error 12)"),
        pl.exceptions.PanicException(
            "The global thread pool has not been initialized.: ThreadPoolBuildError { kind: IOError(Os { code: 11, "
            'kind: WouldBlock, message: "Resource temporarily unavailable" }) }'
        ),
    ],
)
def test_a_lack_of_memory_or_threads_goes_to_the_ladder(error):
    named = raised(error)
    assert isinstance(named, StageOutOfMemory)
    assert named.kind == "oom"
    assert "download" not in str(named)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "permission denied"),
        (IsADirectoryError(errno.EISDIR, "Is a directory"), "it is a folder"),
        (OSError(errno.EIO, "Input/output error"), "the disk does not work"),
        (OSError(errno.EMFILE, "Too many open files"), "too many files are open"),
        (OSError(errno.ELOOP, "Too many levels of symbolic links"), "round in a circle"),
        (OSError(errno.ESTALE, "Stale file handle"), "network file system"),
        (pl.exceptions.ComputeError("Permission denied (os error 13): /data/x.parquet"), "permission denied"),
        (OSError(errno.ETIMEDOUT, "Connection timed out"), "timed out"),
    ],
)
def test_what_the_system_refuses_is_told_as_such(error, says):
    named = raised(error)
    assert isinstance(named, UnreadableFileError)
    assert says in str(named)
    assert "download" not in str(named)


@pytest.mark.parametrize(
    "error",
    [
        pa.ArrowInvalid("Parquet magic bytes not found"),
        OSError("Couldn't deserialize thrift: don't know what type"),
        pl.exceptions.ComputeError("parquet: File out of specification"),
        pl.exceptions.PanicException("index out of bounds: the len is 4 but the index is 9"),
        RecursionError("maximum recursion depth exceeded"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        EOFError("Compressed file ended before the end-of-stream marker was reached"),
    ],
)
def test_only_the_bytes_are_called_damaged(error):
    assert isinstance(raised(error), TruncatedFileError)


def test_a_mistake_of_ours_stays_what_it_is():
    assert isinstance(raised(AttributeError("no such thing")), AttributeError)


@pytest.mark.parametrize("read", [read_footer, read_catalog, require_file])
def test_folders_devices_and_missing_files(read, tmp_path):
    with pytest.raises(UnreadableFileError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(MissingFileError):
        read(tmp_path / "none.parquet")
    with pytest.raises(UnreadableFileError, match="no regular file"):
        read("/dev/null")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnreadableFileError, match="part of the path is a file"):
        read(tmp_path / "file" / "train.parquet")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs another user to be refused")
def test_a_file_of_somebody_else_is_not_called_damaged(tmp_path):
    path = tmp_path / "features.json"
    path.write_text("{}")
    path.chmod(0)
    tmp_path.chmod(0o755)
    code = (
        "import os, sys; from eraflow.data.catalog import read_catalog\nos.chdir(sys.argv[1])\nos.setuid(65534)\n"
        "try:\n    read_catalog('features.json')\nexcept Exception as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "unreadable_file" in done.stdout
    assert "permission denied" in done.stdout


@pytest.mark.parametrize("made", [" KEY\n", "\ufeffKEY", '"KEY"', "KEY\r\n", "\u201cKEY\u201d"])
def test_a_key_as_it_stands_in_its_file_is_taken(made):
    endpoint = Endpoint(None, made, made)
    assert (endpoint.public_id, endpoint.secret_key) == ("KEY", "KEY")


@pytest.mark.parametrize(("made", "says"), [("KE\nY", "a line end"), ("K Y", "a blank"), ("KÉY", "a sign")])
def test_a_key_that_no_request_can_carry_is_named_and_not_shown(made, says):
    with pytest.raises(WrongKeyError, match=f"secret key of the API key holds {says}") as caught:
        Endpoint(None, "PUBLIC", made)
    assert made not in str(caught.value)


def test_crafted_catalogs_end_quickly(tmp_path):
    import json
    import time

    names = [f"feature_{number}" for number in range(40_000)]
    crafted = {
        "twice": json.dumps({"feature_sets": {"all": [*names, names[7]]}, "targets": []}),
        "deep": "[" * 200_000,
        "deep object": '{"a":' * 100_000,
        "a huge number": '{"feature_sets": ' + "9" * 5_000_000 + "}",
        "a huge name": json.dumps({"feature_sets": {"x" * 5_000_000: [1]}}),
        "a huge name twice": json.dumps({"feature_sets": {"all": ["x" * 5_000_000] * 2}}),
    }
    for what, content in crafted.items():
        (tmp_path / "features.json").write_text(content)
        began = time.monotonic()
        with pytest.raises(CatalogError) as caught:
            read_catalog(tmp_path / "features.json")
        assert time.monotonic() - began < 1, what
        assert len(str(caught.value)) < 1_000, what
