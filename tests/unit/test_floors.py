"""No lock holds a package with a known hole, but those the list names with a reason."""

import re

import pytest
from packaging.version import Version

from tests import locks

KNOWN = locks.known()
LOCKS = locks.locks()


def test_every_lock_is_looked_at():
    assert {"requirements/control.lock", "requirements/dev.lock", "images/ppocr/requirements.lock",
            "images/ppocr/requirements.gpu.lock", "images/ppocr/requirements.paddle.lock",
            "images/ppocr/requirements.convert.lock",
            } <= set(LOCKS)  # fmt: skip
    for lock in LOCKS:
        names = re.findall(r"^[^\s#=;\[]+", (locks.ROOT / lock).read_text(), re.MULTILINE)
        assert names and set(names) == set(locks.packages(lock)), lock


@pytest.mark.parametrize("lock", LOCKS)
def test_packages_are_at_least_as_new_as_the_last_known_hole_wants(lock):
    old = []
    for name, version in locks.packages(lock).items():
        floor = KNOWN.floors.get(name)
        if floor is None or Version(version) >= Version(floor["from"]):
            continue
        excepted = KNOWN.excepted(lock, name)
        if "*" not in excepted and not set(floor["holes"]) <= excepted:
            old.append(f"{name} {version} has {', '.join(floor['holes'])}: {floor['from']} has not")
    assert not old, "\n".join(old)


@pytest.mark.parametrize("name", KNOWN.floors)
def test_a_floor_names_its_holes(name):
    floor = KNOWN.floors[name]
    Version(floor["from"])
    assert floor["holes"] and all(
        re.fullmatch(r"(CVE|GHSA|PYSEC)-[\w-]+", h) for h in floor["holes"]
    )


def test_an_exception_is_explained_and_still_needed():
    for exception in KNOWN.exceptions:
        assert len(exception["reason"]) > 60 and exception["until"]
        assert set(exception["locks"]) <= set(LOCKS)
        if exception["package"] == "*":
            continue
        floor = Version(KNOWN.floors[exception["package"]]["from"])
        held = [locks.packages(lock).get(exception["package"]) for lock in exception["locks"]]
        assert all(version and Version(version) < floor for version in held), exception["package"]
