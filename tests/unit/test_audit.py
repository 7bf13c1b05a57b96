"""What the audit makes of pip-audit's answers."""

import json
import subprocess

import pytest

from tests import audit, locks

HOLE = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": ["2.0"]}
KNOWN = locks.Known(
    {}, [{"package": "protobuf", "locks": ["a.lock"], "holes": ["CVE-2026-1"]},
         {"package": "*", "locks": ["bench.lock"], "holes": ["*"]}]
)  # fmt: skip


def answer(name, *holes):
    return {"name": name, "version": "1.0", "vulns": list(holes)}


@pytest.mark.parametrize(
    ("lock", "name", "found"),
    [
        ("a.lock", "requests", 1),
        ("a.lock", "protobuf", 0),  # by its alias
        ("b.lock", "protobuf", 1),
        ("bench.lock", "requests", 0),
    ],
)
def test_holes_count_unless_excepted_in_that_lock(lock, name, found):
    holes, looked = audit.judge(lock, [answer(name, HOLE)], KNOWN)
    assert looked == 1
    told = [hole.partition(": ")[2] for hole in holes]
    assert told == ["CVE-2026-1 PYSEC-2026-1, closed in 2.0"] * found


def test_another_hole_of_an_excepted_package_counts():
    other = {**HOLE, "id": "PYSEC-2026-2", "aliases": []}
    assert len(audit.judge("a.lock", [answer("protobuf", HOLE, other)], KNOWN)[0]) == 1


def said(monkeypatch, capsys, answers=None, err=""):
    """What the step prints and returns when pip-audit answers so for every lock."""

    def run(command, **options):
        out = json.dumps({"dependencies": answers}) if answers is not None else ""
        return subprocess.CompletedProcess(command, 1, out, err)

    monkeypatch.setattr(audit.subprocess, "run", run)
    return audit.main(), capsys.readouterr().out


def test_without_a_network_it_says_that_it_did_not_look(monkeypatch, capsys):
    status, out = said(monkeypatch, capsys, err="ConnectionError: no route")
    assert status == 0
    assert "NOT LOOKED UP" in out and "ConnectionError: no route" in out
    assert "0 packages looked up" in out


def test_an_index_without_data_is_not_taken_for_a_clean_one(monkeypatch, capsys):
    skipped = [{"name": "requests", "skip_reason": "Dependency not found"}]
    status, out = said(monkeypatch, capsys, skipped)
    assert status == 0 and "not looked up: " in out


def test_a_hole_fails_the_step(monkeypatch, capsys):
    status, out = said(monkeypatch, capsys, [answer("requests", HOLE)])
    assert status == 1 and "requests 1.0: CVE-2026-1 PYSEC-2026-1, closed in 2.0" in out
