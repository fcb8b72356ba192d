"""The two truths that switches plant: off, the data are those of before; on, they are what is said of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.data.catalog import Catalog, read_catalog
from eraflow.disk.digest import value_sha256
from eraflow.sandbox.erasign import RELATED
from eraflow.sandbox.generate import Generator, centred, generate
from eraflow.sandbox.naming import CLUSTER, name_features
from eraflow.sandbox.pairrule import plant_pairs
from eraflow.settings.run import RunSettings
from eraflow.settings.source import SandboxSettings
from tasks.tournament import source_key

from .conftest import SMALL

BEFORE = "4799ad9270678ec219ad7fe188bc2921a2aabac50c61f7df0f52697941c041a9"
"""Of the arrays of the eras of SMALL, as they were before there were switches."""
SIZE = {"train_eras": 60, "validation_eras": 40, "rows_per_era": 200, "features": 40, "seed": 4}
SWITCHES = ("pair_rule", "era_sign")


def digest(size: SandboxSettings) -> str:
    """Of everything in every era but the ids, and of the feature sets."""
    found = hashlib.sha256()
    generator = Generator(size)
    found.update(json.dumps(generator.features.sets).encode())
    for position in range(generator.last + 1):
        era = generator.era(position)
        for values in (era.features, *era.targets.values(), *era.benchmarks.values(), era.meta_model):
            found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def test_off_the_data_are_those_of_before_there_were_switches() -> None:
    assert digest(SMALL) == BEFORE
    for switch in SWITCHES:
        assert digest(SMALL.model_copy(update={switch: True})) != BEFORE


def test_off_a_switch_changes_no_name_of_data_that_are_there_already(tmp_path: Path) -> None:
    before = {"train_eras": 40, "validation_eras": 30, "rows_per_era": 60, "features": 24, "signal": 1.0, "seed": 3}
    assert SMALL.identity() == before
    run = RunSettings(source={"kind": "sandbox"}, sandbox=before)
    assert source_key(run) == f"generated-{value_sha256(before)[:12]}"
    keys = {source_key(run.model_copy(update={"sandbox": SMALL.model_copy(update={each: True})})) for each in SWITCHES}
    assert len({source_key(run), *keys}) == 3


def test_the_themes_are_the_named_groups_of_an_era_sign() -> None:
    groups = Catalog(Generator(SandboxSettings(**SIZE, era_sign=True)).features.sets, ()).groups
    assert sorted(map(len, groups.values())) == [10, 15, 15]


def test_a_folder_of_before_is_not_generated_anew_and_a_switch_makes_it_so(tmp_path: Path) -> None:
    tiny = SandboxSettings(train_eras=20, validation_eras=10, rows_per_era=20, features=12)
    stamp = generate(tmp_path, tiny) / "generated.json"
    assert not {*SWITCHES} & json.loads(stamp.read_text())["settings"].keys()
    made = stamp.stat().st_mtime_ns
    assert (generate(tmp_path, tiny) / "generated.json").stat().st_mtime_ns == made
    generate(tmp_path, tiny.model_copy(update={"pair_rule": True}))
    assert json.loads(stamp.read_text())["settings"]["pair_rule"] is True


def assert_about(found: float, strength: float) -> None:
    """Five bins cost a few percent, the noise that is linear in correlated features up to a fifth."""
    assert 0.75 * strength < found < 1.05 * strength


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switched_truth_is_as_strong_as_is_said_and_the_signal_does_not_matter(switch: str) -> None:
    generator = Generator(SandboxSettings(**SIZE, signal=0, **{switch: True}))
    [truth] = generator.switched
    found = []
    for position in range(50):
        era = generator.era(position)
        score = truth.score(position, centred(era.features))
        assert score.mean() == pytest.approx(0, abs=1e-9)
        assert score.std() == pytest.approx(1)
        found.append(np.corrcoef(score, era.targets["target_ender_20"])[0, 1])
    assert_about(np.mean(found), truth.strength)


def test_both_truths_have_their_strength_when_both_are_on() -> None:
    generator = Generator(SandboxSettings(**SIZE, pair_rule=True, era_sign=True))
    for truth in generator.switched:
        found = []
        for position in range(50):
            era = generator.era(position)
            score = truth.score(position, centred(era.features))
            found.append(np.corrcoef(score, era.targets["target_ender_60"])[0, 1])
        assert_about(np.mean(found), truth.strength)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(18, 2000), seed=st.integers(0, 9))
def test_the_named_groups_are_the_clusters_and_each_has_its_pair(count: int, seed: int) -> None:
    """From 18 features on `small` has more than a cluster; of fewer it may lie inside one, and then it is a group."""
    features = name_features(count, seed, divided="clusters")
    place = {name: position for position, name in enumerate(features.names)}
    groups = [{place[name] for name in members} for members in Catalog(features.sets, ()).groups.values()]
    clusters = [set(np.flatnonzero(features.cluster == at).tolist()) for at in range(int(features.cluster.max()) + 1)]
    assert sorted(groups, key=min) == sorted(clusters, key=min)
    pairs = plant_pairs(features, seed).pairs.tolist()
    assert len(pairs) == sum(len(cluster) > 1 for cluster in clusters)
    assert all(any(set(pair) <= cluster for cluster in clusters) for pair in pairs)


def test_features_json_names_the_groups_of_the_pairs(tmp_path: Path) -> None:
    size = SandboxSettings(train_eras=20, validation_eras=10, rows_per_era=20, features=20, pair_rule=True)
    groups = read_catalog(generate(tmp_path, size) / "features.json").groups
    assert [len(members) for members in groups.values()] == [CLUSTER] * 4


def test_the_pairs_lie_among_the_medium_features_where_these_have_two_of_a_cluster() -> None:
    features = name_features(300, 2, divided="clusters")
    medium = np.isin(features.names, features.sets["medium"])
    for pair in plant_pairs(features, 2).pairs:
        there = np.count_nonzero(medium & (features.cluster == features.cluster[pair[0]]))
        assert np.count_nonzero(medium[pair]) == min(2, there)


def test_the_sign_shows_in_the_cross_section_of_its_era_and_in_no_feature_by_itself() -> None:
    generator = Generator(SandboxSettings(**{**SIZE, "rows_per_era": 400}, era_sign=True))
    [truth] = generator.switched
    seen, signs, alone = [], truth.signs[20:100], []
    for position in range(20, 100):
        z = centred(generator.codes(position))
        one, other, payer = (z[truth.theme == theme].sum(axis=0) for theme in range(3))
        seen.append(np.corrcoef(one, other)[0, 1])
        score = truth.score(position, z)
        alone.append([np.corrcoef(part, score)[0, 1] for part in (one, other, payer, one * other)])
        assert {tuple(np.unique(row, return_counts=True)[1]) for row in generator.codes(position)} == {(80,) * 5}
    np.testing.assert_array_equal(np.sign(seen), signs)
    assert 0.4 * RELATED < np.mean(np.abs(seen)) < RELATED
    assert 0.3 < np.mean(signs > 0) < 0.7
    assert np.mean(np.array(alone)[:, 2]) < 0.4
    # What a row knows by itself: nothing, but for the sign that is drawn uneven by chance.
    np.testing.assert_allclose(np.mean(alone, axis=0)[[0, 1, 3]], 0, atol=0.02)
    assert np.mean(np.array(alone)[:, 2] * signs) == pytest.approx(1)
