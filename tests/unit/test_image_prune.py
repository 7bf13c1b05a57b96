"""Which images go: this project's own, unused, under the name they were built as, but the last."""

import json
from types import SimpleNamespace

import pytest

from tests.unit.role_code import load

prune = load("plugins/modules/ppocr_image_prune.py")
HASH = "a" * 64


def image(number, tags=None, **labels):
    """An image of ours: the higher the number, the newer."""
    built_as = f"ppocr:1.{number}"
    given = {prune.CONTENT: HASH, prune.NAME: built_as, prune.VERSION: f"1.{number}", **labels}
    return {
        "Id": f"sha256:{number:064}",
        "RepoTags": [built_as] if tags is None else tags,
        "Created": f"2026-11-{number:02}T00:00:00Z",
        "Config": {"Labels": {key: value for key, value in given.items() if value}},
    }


OURS = {
    "as it was built": image(1),
    "before images said what they were built as": image(1, **{prune.NAME: None}),
    "whose name a later build took": image(1, tags=[]),
}
NOT_OURS = {
    "without the label": image(1, **{prune.CONTENT: None}),
    "committed by a person": image(1, **{prune.CONTENT: "committed-0123456789ab"}),
    "with another name besides": image(1, tags=["ppocr:1.1", "ppocr:before-the-update"]),
    "with another name only": image(1, tags=["mine:1.1"]),
    "of another repository": image(1, **{prune.NAME: "theirs:1.1"}),
    "without a name, built by who knows whom": image(1, tags=[], **{prune.NAME: None}),
    "with another version's name": image(1, tags=["ppocr:9"], **{prune.NAME: None}),
}


@pytest.mark.parametrize("what", OURS)
def test_ours(what):
    assert prune.is_ours(OURS[what], "ppocr", '/bin/sh -c #(nop)  CMD ["serve"]')


@pytest.mark.parametrize("what", NOT_OURS)
def test_not_ours(what):
    assert not prune.is_ours(NOT_OURS[what], "ppocr", 'CMD ["serve"]')


@pytest.mark.parametrize("step", ["COPY . /opt/mine", "/bin/sh -c #(nop) COPY dir:0 in /", ""])
def test_what_somebody_built_on_ours_is_not_ours(step):
    assert not prune.is_ours(image(1), "ppocr", step)


def test_no_labels_at_all():
    assert not prune.is_ours({"Id": "x", "Config": {"Labels": None}}, "ppocr", 'CMD ["serve"]')


def test_the_newest_stay_and_the_used_and_the_spared():
    images = [image(number) for number in range(1, 8)]
    used, spare = {image(2)["Id"]}, ["ppocr:1.3"]
    gone = prune.superseded(images, used, 3, spare)
    assert [prune.title(each) for each in gone] == ["ppocr:1.4", "ppocr:1.1"]
    assert prune.superseded(images, set(), 0, []) == []  # 0 keeps all
    assert prune.superseded(images[:2], set(), 3, []) == []


class Docker:
    """Answers as the docker command does."""

    def __init__(self, images, containers=(), refuses=()):
        self.images, self.containers, self.refuses = images, containers, refuses
        self.removed, self.warnings, self.environments = [], [], []

    def run_command(self, command, environ_update):
        self.environments.append(environ_update)
        match command[1:]:
            case ["image", "ls", *_]:
                return 0, "\n".join(each["Id"] for each in self.images), ""
            case ["image", "inspect", *ids]:
                return 0, json.dumps([each for each in self.images if each["Id"] in ids]), ""
            case ["history", *_]:
                return 0, '"CMD [\\"serve\\"]"\n"COPY"\n', ""
            case ["container", "ls", *_]:
                return 0, "\n".join(self.containers), ""
            case ["container", "inspect", *_]:
                return 0, "\n".join(self.containers.values()), ""
            case ["image", "rm", name]:
                if name in self.refuses:
                    return 1, "", "Konflikt: hat abhaengige Bilder"
                self.removed.append(name)
                return 0, "", ""
        raise AssertionError(command)

    def warn(self, text):
        self.warnings.append(text)


def run(monkeypatch, docker, check_mode=False, **params):
    answer = {}

    class Module(SimpleNamespace):
        def exit_json(self, **values):
            answer.update(values)

        def get_bin_path(self, name):
            return f"/usr/bin/{name}"

    module = Module(
        params={"name": "ppocr", "keep": 1, "spare": [], **params}, check_mode=check_mode,
        run_command=docker.run_command, warn=docker.warn,
    )  # fmt: skip
    monkeypatch.setattr(prune, "AnsibleModule", lambda **_: module)
    prune.main()
    return answer


def test_it_removes_by_id_and_never_by_force(monkeypatch):
    docker = Docker([image(1), image(2), image(3)], {"c": image(2)["Id"]})
    answer = run(monkeypatch, docker)
    assert docker.removed == [image(1)["Id"]]
    assert answer == {"changed": True, "removed": ["ppocr:1.1"], "kept": ["ppocr:1.2", "ppocr:1.3"]}
    assert all(given == {"LC_ALL": "C"} for given in docker.environments)


def test_check_mode_says_what_would_go(monkeypatch):
    docker = Docker([image(1), image(2)])
    assert run(monkeypatch, docker, check_mode=True)["removed"] == ["ppocr:1.1"]
    assert docker.removed == []


def test_what_the_engine_refuses_stays_with_a_warning(monkeypatch):
    docker = Docker([image(1), image(2)], refuses=[image(1)["Id"]])
    answer = run(monkeypatch, docker)
    assert not answer["changed"] and answer["kept"] == ["ppocr:1.1", "ppocr:1.2"]
    assert "ppocr:1.1 stays: Konflikt" in docker.warnings[0]


def test_nothing_there(monkeypatch):
    assert run(monkeypatch, Docker([]))["changed"] is False
