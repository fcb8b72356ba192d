import hashlib
import json

import pytest

from eraflow.machine.failures import StageCrashed, StageOutOfMemory
from eraflow.numerai.errors import DownloadCorruptError
from eraflow.numerai.inspection import SpoiltFilesError
from eraflow.numerai.receipts import Receipt, arrival_path, read_receipt, receipt_path, write_receipt
from eraflow.runs.fetching import STAGE, Fetching

GOOD, BAD, OTHER = b"good", b"spoilt", b"spoilt otherwise"


class Server:
    """Gives the contents of a file one after the other; the last stays."""

    def __init__(self, *contents, checksum=None):
        self.contents, self.checksum, self.asked = list(contents), checksum, 0

    def download(self, name, place, verify, progress, *, sealed, spoilt):
        known = read_receipt(place, name)
        if known is not None and hashlib.sha256(place.read_bytes()).hexdigest() == known.sha256:
            return known
        self.asked += 1
        content = self.contents.pop(0) if len(self.contents) > 1 else self.contents[0]
        sha = hashlib.sha256(content).hexdigest()
        if sha in spoilt:
            raise DownloadCorruptError(f"{name}: {spoilt[sha]} (fetched twice)", "wait")
        place.write_bytes(content)
        receipt = Receipt(name, place, len(content), sha, checksum=self.checksum, decoded=sealed)
        write_receipt(receipt)
        return receipt


@pytest.fixture
def place(tmp_path):
    (tmp_path / "run" / STAGE).mkdir(parents=True)
    return tmp_path / "train.parquet"


def fetching(server, place, attempts=3):
    told = []
    made = Fetching(
        server.download,
        {"v5/train.parquet": place},
        attempts=attempts,
        run_dir=place.parent / "run",
        log=told.append,
        warn=told.append,
    )
    made.told = told
    return made


def inspect(receipts):
    """Decodes nothing but what is good."""
    faults = {name: "no parquet" for name, receipt in receipts.items() if receipt.path.read_bytes() != GOOD}
    if faults:
        raise SpoiltFilesError(faults)
    assert not receipt_path(next(iter(receipts.values())).path).exists() or next(iter(receipts.values())).decoded
    return "contract"


def test_the_receipt_is_written_after_the_pages_were_decoded(place):
    files = fetching(Server(GOOD), place)
    assert files.until_whole(inspect) == "contract"
    assert json.loads(receipt_path(place).read_text())["decoded"] is True
    assert not arrival_path(place).exists()


def test_a_spoilt_file_is_fetched_again_by_itself(place):
    server = Server(BAD, OTHER, GOOD)
    files = fetching(server, place)
    assert files.until_whole(inspect) == "contract"
    assert (server.asked, place.read_bytes()) == (3, GOOD)
    assert sum("fetched again" in line for line in files.told) == 2


def test_the_same_spoilt_bytes_twice_are_named_with_their_fault(place):
    with pytest.raises(DownloadCorruptError, match=r"no parquet.*fetched twice"):
        fetching(Server(BAD), place).until_whole(inspect)


def test_what_stays_spoilt_leaves_no_receipt_so_that_the_next_week_fetches_it(place):
    with pytest.raises(SpoiltFilesError):
        fetching(Server(BAD, OTHER), place, attempts=2).until_whole(inspect)
    assert not receipt_path(place).exists()
    server = Server(GOOD)
    arrival_path(place).unlink(missing_ok=True)
    assert fetching(server, place).until_whole(inspect) == "contract"


def test_a_file_over_which_the_child_dies_is_fetched_again(place):
    def dies(receipts):
        if place.read_bytes() == BAD:
            (place.parent / "run" / STAGE / "now-reading").write_text("v5/train.parquet")
            raise StageCrashed("inspect_round was aborted by native code", "see the log", kind="abort")
        return inspect(receipts)

    files = fetching(Server(BAD, GOOD), place)
    assert files.until_whole(dies) == "contract"


def test_the_same_deadly_bytes_twice_are_named(place):
    def dies(receipts):
        (place.parent / "run" / STAGE / "now-reading").write_text("v5/train.parquet")
        raise StageCrashed("inspect_round was aborted by native code", "see the log", kind="abort")

    with pytest.raises(DownloadCorruptError, match=r"the program that decoded it was aborted by native code"):
        fetching(Server(BAD), place).until_whole(dies)


@pytest.mark.parametrize("error", [StageCrashed("elsewhere", "r", kind="segfault"), StageOutOfMemory("short", "r")])
def test_a_child_that_dies_of_something_else_is_left_to_the_ladder(place, error):
    def dies(receipts):
        raise error

    server = Server(GOOD)
    with pytest.raises(type(error)):
        fetching(server, place).until_whole(dies)
    assert server.asked == 1
    assert arrival_path(place).exists()  # nothing is wrong with the file


@pytest.mark.parametrize(("checksum", "asked"), [(None, 2), ("md5", 1)])
def test_a_broken_contract_makes_only_files_suspect_that_no_checksum_speaks_for(place, checksum, asked):
    from eraflow.data.eraindex import DuplicateIdError

    def broken(receipts):
        raise DuplicateIdError("an id twice", "r")

    server = Server(BAD, OTHER, checksum=checksum)
    with pytest.raises(DuplicateIdError):
        fetching(server, place).until_whole(broken)
    assert server.asked == asked
