"""The code version follows what a stage can reach: on this repository's own stages, and on a small project."""

import shutil
import time
from pathlib import Path

import pytest

from eraflow.kinds import KINDS
from eraflow.runs.codeversion import OWN, PROJECT_PACKAGES, code_version, installed_root, learners_of
from eraflow.runs.codewalk import CodeWalk

ROOT = Path(__file__).parents[3]
STAGES = {
    "contract": "eraflow.numerai.inspection:inspect_round",
    "features": "eraflow.erastore.stage:build_features",
    "select": "eraflow.discovery.stage:select_features",
    "search": "models.search.stage:search_model",
    "train": "models.training.train:train_model",
    "blend": "models.ensembles.blend:blend_members",
    "backtest": "eraflow.scoring.backtest:backtest",
    "leaks": "eraflow.discovery.leakstage:find_leaks",
    "predict": "models.prediction.predict:predict_live",
}
BOOSTERS = {kind: KINDS[kind].path for kind in ("lightgbm", "xgboost", "catboost")}
LEARNERS = dict.fromkeys(("train", "search", "predict"), (BOOSTERS["lightgbm"],))


class Tree:
    """A copy of this repository's sources, to be altered."""

    def __init__(self, root):
        self.root = root

    def version(self, function, *learners):
        return code_version(function, learners, lambda package: self.root / package)

    def versions(self):
        return {name: self.version(function, *LEARNERS.get(name, ())) for name, function in STAGES.items()}

    def changed(self, file, old, new):
        """The stages that are new after the first `old` of a file has become `new`; the file is then put back."""
        path, before = self.root / file, self.versions()
        text = path.read_text()
        assert old in text, f"{file} no longer has {old!r}"
        try:
            path.write_text(text.replace(old, new, 1))
            after = self.versions()
        finally:
            path.write_text(text)
        return {name for name in STAGES if after[name] != before[name]}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    for package in PROJECT_PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return Tree(root)


def test_a_copy_has_the_version_of_the_original(tree):
    assert tree.versions() == {name: code_version(each, LEARNERS.get(name, ())) for name, each in STAGES.items()}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        pytest.param("models/training/train.py", "    trainer = ", "    # Why.\n    trainer = ", id="comment"),
        pytest.param("models/base/rows.py", '"""', '"""In other words: ', id="docstring of a module"),
        pytest.param("eraflow/erastore/erareader.py", '    """', '    """In other words: ', id="docstring of a class"),
        pytest.param(
            "eraflow/settings/gate.py", "Confidence of the recent", "How sure is the recent", id="gate setting"
        ),
        pytest.param("eraflow/settings/selection.py", "Blocks of neigh", "Pieces of neigh", id="setting that is taken"),
        pytest.param("eraflow/scoring/ranking.py", "\nMAX_PADDING = 2.0", "\n\n\nMAX_PADDING=2.0", id="formatting"),
        pytest.param(
            "models/training/learningplan.py", "(plan: Plan) -> str", "(plan: object) -> object", id="annotation"
        ),
        pytest.param(
            "eraflow/disk/digest.py", "\ndef ", "\ndef unused():\n    return 1\n\n\ndef ", id="unused function"
        ),
        pytest.param("eraflow/disk/digest.py", "import hashlib", "import hashlib\nimport shelve", id="unused import"),
        pytest.param("eraflow/gate/rules.py", "\ndef ", "\nLEAST = 3\n\n\ndef ", id="a file that no stage imports"),
    ],
)
def test_what_can_change_no_byte_leaves_every_stage_valid(tree, file, old, new):
    assert tree.changed(file, old, new) == set()


@pytest.mark.parametrize(
    ("file", "old", "new", "stages"),
    [
        pytest.param("models/training/train.py", "100 * (start", "99 * (start", {"train"}, id="literal of the stage"),
        pytest.param("models/base/rows.py", "LEVELS = 5", "LEVELS = 6", {"train", "search", "predict"}, id="constant"),
        pytest.param("eraflow/settings/selection.py", "0.1, gt=0", "0.2, gt=0", {"select"}, id="default of a setting"),
        pytest.param("eraflow/settings/search.py", "Section", "BaseModel", {"search"}, id="base class"),
        pytest.param(
            "eraflow/scoring/ranking.py",
            "def signed_power(",
            "@cache\ndef signed_power(",
            {"train", "search", "select", "backtest", "leaks", "blend", "predict"},
            id="decorator of a function two imports away",
        ),
        pytest.param(
            "eraflow/disk/digest.py",
            "CHUNK_BYTES = ",
            "CHUNK_BYTES = 1 + ",
            {"train", "blend", "predict"},
            id="constant three imports away",
        ),
        pytest.param(
            "models/ensembles/rankblend.py",
            "shares.sum(axis=-1)",
            "2 * shares.sum(axis=-1)",
            {"blend", "predict"},
            id="a blend",
        ),
        pytest.param(
            "models/prediction/stream.py", "import numpy as np", "import cupy as np", {"predict"}, id="library"
        ),
        pytest.param("eraflow/__init__.py", "__version__ = ", "print(1)\n__version__ = ", set(STAGES), id="package"),
    ],
)
def test_what_can_change_a_byte_makes_the_stages_that_reach_it_new(tree, file, old, new, stages):
    assert tree.changed(file, old, new) >= stages


@pytest.mark.parametrize("stage", ["train", "search", "predict"])
def test_a_change_in_a_learner_makes_its_own_stages_new_and_nobody_elses(tree, stage):
    path = tree.root / "models/boosters/xgboost_model.py"
    text, head = path.read_text(), "class XGBoostModel(BoosterModel):"

    def versions():
        return {kind: tree.version(STAGES[stage], learner) for kind, learner in BOOSTERS.items()}

    before, plain = versions(), tree.version(STAGES[stage])
    assert len({*before.values(), plain}) == len(BOOSTERS) + 1
    try:
        path.write_text(text.replace('    """', '    # A comment.\n    """In other words: ', 1))
        assert versions() == before
        path.write_text(text.replace(head, f"{head}\n    x = 1"))
        after = versions()
    finally:
        path.write_text(text)
    assert {kind for kind in BOOSTERS if after[kind] != before[kind]} == {"xgboost"}


def test_how_a_users_own_kind_is_loaded_counts_for_those_that_are(tree, tmp_path):
    (tmp_path / "mine.py").write_text("class Mine: pass\n")
    own = learners_of([f"{tmp_path / 'mine.py'}:Mine"])
    path = tree.root / "models/own/ownmodel.py"
    text, before = path.read_text(), [tree.version(STAGES["train"], *each) for each in (own, LEARNERS["train"])]
    try:
        path.write_text(text + "\n\ndef more():\n    return 1\n")
        after = [tree.version(STAGES["train"], *each) for each in (own, LEARNERS["train"])]
    finally:
        path.write_text(text)
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_one_more_row_in_the_table_of_kinds_makes_nothing_new(tree):
    row = 'ROWS = (\n    Kind("toy", "toy.model:Toy", Cost(1)),\n'
    assert tree.changed("eraflow/kinds.py", "ROWS = (\n", row) == set()


class Project:
    """A small project of one's own: stage.py with `run`, and what else is given."""

    def __init__(self, root):
        self.root = root / "demo"
        self.root.mkdir()
        self.write("__init__", "")

    def write(self, name, text):
        path = self.root / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def version(self):
        return code_version("demo.stage:run", (), lambda package: self.root if package == "demo" else None)

    def changes(self, name, text):
        """Whether the stage is new when a file has another text."""
        before = self.version()
        self.write(name, text)
        return self.version() != before


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_imports_inside_functions_count_where_the_function_is_reached(project):
    project.write(
        "stage", "def run():\n    from demo.late import used\n    used()\n\ndef other():\n    import demo.apart\n"
    )
    project.write("late", "def used(): return 1\n")
    project.write("apart", "print(1)\n")
    assert not project.changes("apart", "print(2)\n")
    assert project.changes("late", "def used(): return 2\n")


def test_two_functions_that_change_their_names_are_seen(project):
    project.write("stage", "from demo.part import f as one, g as two\ndef run(): return one() - two()\n")
    project.write("part", "def f(): return 1\ndef g(): return 2\n")
    assert project.changes("stage", "from demo.part import g as one, f as two\ndef run(): return one() - two()\n")


def test_an_attribute_of_a_module_pulls_that_name_and_the_module_as_a_value_all_of_it(project):
    project.write("part", "def f(): return 1\ndef g(): return 2\n")
    project.write("stage", "from demo import part\ndef run(): return part.f()\n")
    assert not project.changes("part", "def f(): return 1\ndef g(): return 3\n")
    project.write("stage", "from demo import part\ndef run(name): return getattr(part, name)()\n")
    assert project.changes("part", "def f(): return 1\ndef g(): return 4\n")


def test_a_table_that_functions_enter_while_their_module_is_imported_counts(project):
    table = "FOUND = []\ndef enter(f):\n    FOUND.append(f)\n    return f\n"
    project.write("table", table)
    project.write("entries", "from demo.table import enter\n@enter\ndef one(): return 1\n")
    project.write("stage", "import demo.entries\nfrom demo.table import FOUND\ndef run(): return FOUND[0]()\n")
    assert project.changes("entries", "from demo.table import enter\n@enter\ndef one(): return 2\n")


def test_classes_that_enter_a_table_by_being_made_or_inherited_from_count(project):
    enters = "FOUND = []\nclass Base:\n    def {}(self, **more): FOUND.append(self)\n"
    for hook, line in (("__init_subclass__", "class One(Base):\n    x = {}\n"), ("__init__", "one = Base()\nx = {}\n")):
        project.write("table", enters.format(hook))
        project.write("entries", "from demo.table import Base\n" + line.format(1))
        project.write("stage", "import demo.entries\nfrom demo.table import FOUND\ndef run(): return FOUND\n")
        changed = "from demo.table import Base\n" + line.format(2).replace("Base()", "Base(y=1)")
        assert project.changes("entries", changed)


def test_a_name_that_is_given_twice_or_conditionally_counts_in_its_order(project):
    project.write("stage", "A = 1\nA = 2\ndef run(): return A\n")
    assert project.changes("stage", "A = 2\nA = 1\ndef run(): return A\n")
    project.write("part", "try:\n    from demo.fast import f\nexcept ImportError:\n    f = None\n")
    project.write("fast", "def f(): return 1\n")
    project.write("stage", "from demo.part import f\ndef run(): return f()\n")
    assert project.changes("fast", "def f(): return 2\n")


def test_the_order_of_definitions_changes_nothing(project):
    project.write("stage", "def a(): return 1\n\ndef run(): return a()\n")
    assert not project.changes("stage", "def run(): return a()\n\ndef a(): return 1\n")


def test_a_users_file_counts_as_it_is(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("class Mine: pass\n")
    before = code_version(STAGES["train"], [f"{mine}:Mine"])
    assert before != code_version(STAGES["train"])
    mine.write_text("class Mine: pass  # changed\n")
    assert code_version(STAGES["train"], [f"{mine}:Mine"]) != before
    mine.unlink()
    assert code_version(STAGES["train"], [f"{mine}:Mine"])  # the stage itself tells that it is gone


@pytest.mark.parametrize(
    "line",
    [
        "from models.boosters.lightgbm_model import LightGBMModel",
        "from models.boosters import lightgbm_model",
        "import models.boosters.lightgbm_model",
        "def later():\n    from models.boosters.lightgbm_model import LightGBMModel",
    ],
)
def test_what_a_users_file_imports_of_the_project_counts_too(tree, tmp_path, line):
    mine = tmp_path / "mine.py"
    mine.write_text(f"{line}\n\nclass Mine:\n    pass\n")
    own, path = learners_of([f"{mine}:Mine"]), tree.root / "models/boosters/lightgbm_model.py"
    text, before = path.read_text(), tree.version(STAGES["train"], *own)
    try:
        path.write_text(
            text.replace("class LightGBMModel(BoosterModel):", "class LightGBMModel(BoosterModel):\n    x = 1")
        )
        after = tree.version(STAGES["train"], *own)
        path.write_text(f"# A comment.\n{text}")
        assert tree.version(STAGES["train"], *own) == before
    finally:
        path.write_text(text)
    assert after != before


def test_what_a_saved_model_calls_itself_is_no_file_of_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    alone = learners_of(["mine.py:Mine"])
    (tmp_path / "mine.py").write_text("class Mine: pass\n")
    assert learners_of(["mine.py:Mine"]) == alone


def test_code_that_no_source_shows_is_loaded_in_one_place_only():
    """Only where a kind's class is loaded is a module imported by a name made at run time: learners are told."""
    walk = CodeWalk({*PROJECT_PACKAGES}, installed_root)
    places = (*STAGES.values(), *(row.path for row in KINDS.values()), *OWN)
    walk.follow([(module, name or None) for module, _, name in (each.partition(":") for each in places)])
    dynamic = {"import_module", "__import__", "spec_from_file_location"}
    found = set()
    for module, place in walk.counted:
        unit = walk.loaded[module].units[place]
        if dynamic & {name for read in unit.reads for name in read}:
            found.add(module)
    assert found <= {"models.kinds", "models.own.ownclass"}


def test_the_versions_of_a_week_take_no_time_once_the_files_are_read(tree):
    tree.versions()
    began = time.process_time()
    tree.versions()
    assert time.process_time() - began < 1.5
