"""Names that users have written down go on working: settings, commands, paths, metrics, files."""

from __future__ import annotations

import json

import pytest

from tests import public_names

NOW = public_names.found()
LISTED = public_names.listed()


@pytest.mark.parametrize("kind", public_names.KINDS)
def test_no_name_is_lost(kind: str) -> None:
    sentences = public_names.lost({kind: LISTED.get(kind, [])}, NOW)
    assert not sentences, "\n".join(sentences)


@pytest.mark.parametrize("kind", public_names.KINDS)
def test_new_names_are_listed(kind: str) -> None:
    new = sorted(set(NOW[kind]) - set(LISTED.get(kind, [])))
    assert not new, f"{new}: new names; list them with python -m tests.public_names"


def test_the_list_is_sorted_and_has_no_kind_that_is_not_looked_for() -> None:
    assert list(LISTED) == list(public_names.KINDS)
    assert all(names == sorted(set(names)) for names in LISTED.values())


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("settings", "hubserving_queue"),
        ("settings", "hubserving_instances.port"),
        ("settings", "ppocr_version"),
        ("scripts", "scripts/ship_image.py"),
        ("options of scripts", "ship_image.py --dry-run"),
        ("options of scripts", "ship_image.py -J"),
        ("options of scripts", "ship_image.py --mode whole"),
        ("options of scripts", "image_layers.py sizes"),
        ("options of scripts", "lab up --hosts"),
        ("options of scripts", "deploy --accept-new-host-keys"),
        ("options of scripts", "lock bench"),
        ("options of scripts", "test --quick"),
        ("playbooks", "playbooks/rollback.yml"),
        ("tags", "smoke_test"),
        ("modules", "ocr_system"),
        ("HTTP paths", "/predict/<module>"),
        ("metrics", "ppocr_requests_total{module,code}"),
        ("metrics", "ppocr_ready{}"),
        ("files", "/etc/ppocr"),
        ("files", "/var/lib/ppocr/staging"),
        ("labels", "org.ppocr.content"),
        ("environment variables", "PPOCR_QUEUE"),
        ("environment variables", "PPOCR_CACHE"),
    ],
)
def test_names_are_found_where_they_are(kind: str, name: str) -> None:
    assert name in NOW[kind]


def test_a_name_that_is_lost_is_named_with_the_remedy() -> None:
    before = {"settings": ["hubserving_old", "hubserving_queue"]}
    (sentence,) = public_names.lost(before, {"settings": ["hubserving_queue"]})
    assert sentence.startswith("settings: hubserving_old is gone.")
    assert "go on working, and to say its new name" in sentence


def test_the_command_adds_and_never_removes(tmp_path, monkeypatch, capsys) -> None:
    path = tmp_path / "names.json"
    path.write_text(json.dumps({"scripts": ["scripts/gone"]}))
    monkeypatch.setattr(public_names, "LISTED", path)
    assert public_names.main() == 1
    said = capsys.readouterr()
    assert "scripts: scripts/gone is gone" in said.err
    assert "added: settings: hubserving_queue" in said.out
    assert "scripts/gone" in public_names.listed()["scripts"]
