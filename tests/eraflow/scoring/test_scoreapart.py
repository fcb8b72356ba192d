import numpy as np
import pytest

from eraflow.errors import EraflowError
from eraflow.machine.apart import DeadlyFileError, failures_while
from eraflow.machine.failures import StageKilled, StageOutOfMemory
from eraflow.rows.predictionfile import PredictionFileError
from eraflow.sandbox.datafolder import DataFolder, DataFolderError
from eraflow.scoring.scoreapart import score_apart
from eraflow.scoring.scorefile import score_file
from eraflow.settings.data import DataSettings
from tests.deadly_files import deadly
from tests.tournament_files import write_tournament

DATA = DataSettings(target="target_ender_60", features="all")


@pytest.fixture
def files(tmp_path):
    return write_tournament(tmp_path / "data", train_eras=30, validation_eras=30, rows=25)


@pytest.fixture
def predictions(files, tmp_path):
    ids = files.frames["validation"].index
    values = np.random.default_rng(1).uniform(size=len(ids))
    path = tmp_path / "mine.csv"
    path.write_text("id,prediction\n" + "".join(f"{i},{v}\n" for i, v in zip(ids, values, strict=True)))
    return path


def test_it_gives_what_is_found_in_this_process(files, predictions, tmp_path):
    here = score_file(predictions, files.folder, DATA, tmp_path / "here")
    apart = score_apart(predictions, files.folder, DATA, tmp_path / "apart")
    assert apart.as_dict() == here.as_dict()


@pytest.mark.parametrize("place", ["predictions", "data"])
def test_a_file_that_kills_its_reader_is_an_error_about_these_files(place, files, predictions, tmp_path):
    path = deadly(tmp_path / "mine.parquet" if place == "predictions" else files.path("validation"))
    given = path if place == "predictions" else predictions
    with pytest.raises(DeadlyFileError, match=rf"{given.name} was scored on {files.folder}"):
        score_apart(given, files.folder, DATA, tmp_path / "apart")


def test_an_error_of_the_child_keeps_its_name(files, tmp_path):
    (tmp_path / "mine.csv").write_text("id,prediction\nnobody,0.5\n")
    with pytest.raises(PredictionFileError, match=r"none of the 1 ids"):
        score_apart(tmp_path / "mine.csv", files.folder, DATA, tmp_path / "apart")


@pytest.mark.parametrize("error", [StageOutOfMemory, StageKilled])
def test_no_remedy_names_a_setting_that_the_verb_has_not(error, tmp_path):
    with pytest.raises(EraflowError) as caught, failures_while("it was scored"):
        raise error("it was ended", f"set machine.memory_mb to 900 (output in {tmp_path / 'stage.log'})")
    assert "machine." not in caught.value.remedy
    assert isinstance(caught.value, error)


def test_the_sandbox_names_a_live_file_that_kills_its_reader(files):
    deadly(files.path("live"))
    with pytest.raises(DataFolderError, match=r"live\.parquet cannot be read: the program that read it died"):
        DataFolder(files.folder, "v5.3").live_ids()
    files.path("live").write_bytes(b"PAR1 no parquet PAR1")
    with pytest.raises(DataFolderError, match=r"live\.parquet cannot be read"):
        DataFolder(files.folder, "v5.3").live_ids()
