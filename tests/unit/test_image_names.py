"""Names of images as people write them, and which engine the commands speak to."""

import json
import os
import stat

import pytest
from ppocrlib import engine, imagename
from ppocrlib.outcome import Refused, Trouble

ID = "4bf74f3865d2" + "0" * 52
NAMES = {
    "ppocr:1.0.0": ("ppocr", "1.0.0"),
    "ppocr": ("ppocr", "latest"),
    "registry.example.com:5000/ocr/ppocr": ("registry.example.com:5000/ocr/ppocr", "latest"),
    "localhost:5000/ppocr:1": ("localhost:5000/ppocr", "1"),
    "a__b.c-d/e:V1.0_x": ("a__b.c-d/e", "V1.0_x"),
    "[::1]:5000/ppocr:1": ("[::1]:5000/ppocr", "1"),
}
WRONG = {
    "": "the name of the image is empty",
    "  ": "the name of the image is empty",
    " ppocr:1": "has blanks in it",
    "ppocr :1": "has blanks in it",
    "PPOCR:1.0": "upper case letters, which Docker refuses: write ppocr:1.0",
    "team/PPOCR": "write team/ppocr",
    "ppocr:": "is no name for an image",
    ":1.0": "is no name for an image",
    "ppocr:1:2": "is no name for an image",
    "-ppocr": "is no name for an image",
    "识别:1": "is no name for an image",
    "ppocr:版本": "is no name for an image",
    "https://r.example/ppocr:1": "is no name for an image",
    "a" * 256: "is no name for an image",
}
ONLY_FOUND_BY = [ID, f"sha256:{ID}", ID[:12], f"ppocr@sha256:{ID}", f"ppocr:1@sha256:{ID}"]


@pytest.mark.parametrize(("name", "parts"), NAMES.items())
def test_names_docker_takes(name, parts):
    assert imagename.for_new(name) == parts
    assert imagename.to_find(name) == name


@pytest.mark.parametrize(("name", "said"), WRONG.items())
def test_names_docker_refuses_are_refused_with_a_sentence(name, said):
    for check in (imagename.for_new, imagename.to_find):
        with pytest.raises(Refused, match=said):
            check(name)


@pytest.mark.parametrize("name", ONLY_FOUND_BY)
def test_an_id_finds_an_image_and_names_none(name):
    assert imagename.to_find(name) == name
    with pytest.raises(Refused, match="a name is needed"):
        imagename.for_new(name)


@pytest.fixture
def docker_command(tmp_path, monkeypatch):
    """A docker command that says what it is made to say."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    engine.endpoint.cache_clear()

    def make(out="", err="", status=0):
        command = tmp_path / "docker"
        command.write_text(f"#!/bin/sh\ncat <<'E'\n{out}\nE\necho '{err}' >&2\nexit {status}\n")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)

    yield make
    engine.endpoint.cache_clear()


def context(name, host, **more):
    return json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}, **more})


def test_the_context_in_use_is_the_engine(docker_command):
    docker_command(context("far", "ssh://ops@far.example"), err="WARNING: config.json is broken")
    assert engine.endpoint() == engine.Endpoint("ssh://ops@far.example", "docker context far")
    assert not engine.is_local()


def test_a_context_with_certificates(docker_command, tmp_path):
    docker_command(context("far", "tcp://far:2376", TLSMaterial={"docker": ["ca.pem"]},
                           Storage={"TLSPath": str(tmp_path)}))  # fmt: skip
    assert engine.endpoint().tls == tmp_path / "docker" and engine.endpoint().verify


def test_docker_host_wins(docker_command, monkeypatch):
    docker_command(context("far", "ssh://far"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/other.sock")
    assert engine.endpoint().host == "unix:///run/other.sock" and engine.is_local()


def test_the_default_context_is_this_machine(docker_command):
    docker_command(context("default", "unix:///var/run/docker.sock"))
    assert engine.endpoint().origin == "this machine" and engine.is_local()


@pytest.mark.parametrize("said", ['context "gone": context not found', "anything else"])
def test_a_context_that_is_not_there_is_named(docker_command, monkeypatch, said):
    docker_command("[]", said, 1)
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    with pytest.raises(Trouble, match="the docker context gone cannot be read"):
        engine.endpoint()


def test_a_command_without_contexts_leaves_this_machines(docker_command):
    docker_command("", "Emulate Docker CLI using podman.", 125)
    assert engine.endpoint().host == "unix:///var/run/docker.sock"


def test_an_engine_that_does_not_answer_is_named_with_what_chose_it(docker_command, monkeypatch):
    docker_command(context("far", "tcp://127.0.0.1:9"))
    with pytest.raises(Trouble, match=r"at tcp://127.0.0.1:9 \(docker context far\)"):
        engine.local_engine()
