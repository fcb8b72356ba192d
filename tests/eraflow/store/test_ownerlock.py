from eraflow.store.ownerlock import own, owner_is_dead


def test_an_owner_is_dead_when_nobody_holds_the_lock(tmp_path):
    path = tmp_path / "a.lock"
    with path.open("w") as file:
        assert owner_is_dead(path)  # it is not yet held
        own(file)
        assert not owner_is_dead(path)
    assert owner_is_dead(path)


def test_of_what_cannot_be_opened_nothing_is_known(tmp_path):
    assert not owner_is_dead(tmp_path / "none.lock")
    assert not owner_is_dead(tmp_path)
