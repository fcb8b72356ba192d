"""Made-up names are refused with what there is instead, before the data are downloaded."""

import pytest

from eraflow.data.catalog import UnknownFeatureSetError
from eraflow.data.contractcheck import MissingTargetError
from eraflow.data.coverage import MissingBenchmarkError
from eraflow.data.offer import UnknownVersionError, check_names, check_version
from eraflow.sandbox.generate import generate
from eraflow.settings.source import SandboxSettings
from tests.weeks import TINY


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("offer") / "data", SandboxSettings(**TINY["sandbox"]), version="v5.3")


def check(folder, auxiliary=(), neutralise="", local=True, **data):
    check_names(
        features_json=str(folder / "features.json"),
        data={"target": "target_ender_20", "features": "all", **data},
        auxiliary=list(auxiliary),
        neutralise=neutralise,
        train=str(folder / "train.parquet") if local else None,
        benchmarks=[str(folder / "train_benchmark_models.parquet")] if local else None,
    )


@pytest.mark.parametrize("local", [True, False])
def test_names_that_are_there_pass_and_a_made_up_target_gets_the_list(folder, local):
    check(folder, auxiliary=["target_ender_60"], local=local)
    check(folder, target="target", alias_horizon=20, local=local)
    for wrong in ({"target": "target_nobody_20"}, {"auxiliary": ["target_nobody_20"]}):
        with pytest.raises(MissingTargetError, match=r"target_nobody_20; their targets are .*target_ender_60"):
            check(folder, local=local, **wrong)


@pytest.mark.parametrize(
    ("wrong", "error", "instead"),
    [
        ({"features": "medum"}, UnknownFeatureSetError, "medium"),
        ({"neutralise": "nobody"}, UnknownFeatureSetError, "medium"),
        ({"benchmark": "nobody"}, MissingBenchmarkError, "v53_lgbm_ender20"),
    ],
)
def test_so_do_sets_and_benchmarks(wrong, error, instead, folder):
    with pytest.raises(error, match=instead):
        check(folder, **wrong)


@pytest.mark.parametrize("version", ["v9.9", "", "5.3", "v5.3/train.parquet", "x" * 10_000])
def test_a_made_up_version_gets_the_list(version):
    offered = ["v5.2/train.parquet", "v5.3/train.parquet", "v5.3/features.json", "readme"]
    check_version("v5.3", offered)
    with pytest.raises(UnknownVersionError, match=r"there are v5\.2, v5\.3") as caught:
        check_version(version, offered)
    assert len(str(caught.value)) < 300
