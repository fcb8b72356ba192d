"""Two slots: the last checkpoint and the best; damage to one costs time and nothing else."""

from __future__ import annotations

import pytest

from eraflow.disk.atomic import StorageError

torch = pytest.importorskip("torch")
modules = pytest.importorskip("tests.models.networks.modules")
gradient = pytest.importorskip("models.networks.gradient")
checkpoint = pytest.importorskip("models.networks.checkpoint")

DAMAGES = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "other": lambda path: path.write_bytes(b"not a checkpoint, but as long as a digest is, and longer"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "flipped": lambda path: path.write_bytes(flipped(path.read_bytes())),
}


def flipped(content):
    """One bit in the middle, where the tensors are: torch alone would read it without a word."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.fixture(scope="module")
def data():
    return modules.planted()


@pytest.fixture
def slots(tmp_path):
    slots = checkpoint.Checkpoints(tmp_path, "key")
    slots.save({"step": 1, "weights": torch.ones(999)}, best=True)
    slots.save({"step": 2, "weights": torch.ones(999)})
    return slots


def test_the_last_is_taken(slots, tmp_path):
    assert slots.load()["step"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "last.pt"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_last_gives_way_to_the_best(slots, tmp_path, damage):
    DAMAGES[damage](tmp_path / "last.pt")
    assert slots.load()["step"] == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_with_both_damaged_there_is_none(slots, tmp_path, damage):
    for name in ("last.pt", "best.pt"):
        DAMAGES[damage](tmp_path / name)
    assert slots.load() is None


def test_those_of_another_fit_are_not_taken(slots, tmp_path):
    assert checkpoint.Checkpoints(tmp_path, "other").load() is None
    checkpoint.Checkpoints(tmp_path, "other").save({"step": 7})
    assert slots.load()["step"] == 1
    assert checkpoint.Checkpoints(tmp_path, "other").load()["step"] == 7


def test_without_a_folder_nothing_is_kept():
    slots = checkpoint.Checkpoints(None, "key")
    slots.save({"step": 1}, best=True)
    assert slots.load() is None
    assert not slots.due


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        checkpoint.Checkpoints(tmp_path / "file", "key").save({"step": 1})


class Killed(BaseException):
    pass


@pytest.mark.parametrize("damaged", [(), ("last.pt",), ("best.pt",), ("last.pt", "best.pt")])
@pytest.mark.parametrize("damage", ["gone", "flipped"])
@pytest.mark.parametrize("name", ["plain", "buffers"])
def test_a_training_goes_on_from_what_is_whole_to_the_same_bytes(name, data, tmp_path, damaged, damage):
    expected = modules.content(modules.trained(name, data))
    original = gradient.BatchGradient.of

    def dying(self, batch, at):
        if at == 7:
            raise Killed
        return original(self, batch, at)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradient.BatchGradient, "of", dying)
        with pytest.raises(Killed):
            modules.trained(name, data, checkpoints=tmp_path)
    for file in damaged:
        DAMAGES[damage](tmp_path / file)
    assert modules.content(modules.trained(name, data, checkpoints=tmp_path)) == expected


def test_the_best_is_that_of_the_lowest_loss(data, tmp_path, monkeypatch):
    losses = iter([0.9, 0.9, 0.5, 0.5, 0.7, 0.7])  # of an epoch, and of the look at its end
    monkeypatch.setattr(gradient.Sums, "mean_loss", property(lambda self: next(losses) if self.epoch else 1.0))
    monkeypatch.setattr(gradient.Sums, "epoch", property(lambda self: self.rows > 1_000), raising=False)
    modules.trained("plain", data, checkpoints=tmp_path)
    slots = {name: checkpoint._read(tmp_path / f"{name}.pt", key_of(tmp_path)) for name in ("last", "best")}
    assert (slots["last"]["step"], slots["best"]["step"]) == (9, 6)
    assert slots["last"]["standing"]["best"] == slots["best"]["standing"]["best"] == -0.5


def key_of(folder):
    import io

    return torch.load(io.BytesIO((folder / "last.pt").read_bytes()[32:]), weights_only=True)["key"]
