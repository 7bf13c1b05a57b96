"""Names of images as people write them, and which engine the commands speak to."""

import http.server
import json
import os
import socketserver
import stat
import threading

import pytest

from ppocr_control.docker_engine import engine, over_ssh
from ppocr_control.errors import Error, Refused
from ppocr_control.images import image_name

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
    assert image_name.for_new(name) == parts
    assert image_name.to_find(name) == name


@pytest.mark.parametrize(("name", "said"), WRONG.items())
def test_names_docker_refuses_are_refused_with_a_sentence(name, said):
    for check in (image_name.for_new, image_name.to_find):
        with pytest.raises(Refused, match=said):
            check(name)


@pytest.mark.parametrize("name", ONLY_FOUND_BY)
def test_an_id_finds_an_image_and_names_none(name):
    assert image_name.to_find(name) == name
    with pytest.raises(Refused, match="a name is needed"):
        image_name.for_new(name)


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
    with pytest.raises(Error, match="the docker context gone cannot be read"):
        engine.endpoint()


def test_a_command_without_contexts_leaves_this_machines(docker_command):
    docker_command("", "Emulate Docker CLI using podman.", 125)
    assert engine.endpoint().host == "unix:///var/run/docker.sock"


def test_an_engine_that_does_not_answer_is_named_with_what_chose_it(docker_command, monkeypatch):
    docker_command(context("far", "tcp://127.0.0.1:9"))
    with pytest.raises(Error, match=r"at tcp://127.0.0.1:9 \(docker context far\)"):
        engine.local_engine()


#: An ssh that carries to a socket on this machine, or fails as ssh does.
SSH = """#!/usr/bin/env python3
import os, socket, sys, threading
open(os.environ["SSH_LOG"], "a").write(" ".join(sys.argv[1:]) + "\\n")
if "gone" in sys.argv:
    sys.exit("ssh: Could not resolve hostname gone")
there = socket.socket(socket.AF_UNIX)
there.connect(os.environ["SSH_TO"])
def up():
    while data := os.read(0, 65536):
        there.sendall(data)
    there.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := there.recv(65536):
    os.write(1, data)
"""


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """The ssh command, and an engine that knows one question behind it; returns ssh's log."""
    (tmp_path / "ssh").write_text(SSH)
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("SSH_TO", str(tmp_path / "engine.sock"))

    class Engine(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"ApiVersion": "1.41"}' if self.path.endswith("/version") else b"OK"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self):
            return "engine"

        def log_message(self, *_):
            pass

    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "engine.sock"), Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        engine.endpoint.cache_clear()
        engine._tunnel.cache_clear()
        yield tmp_path / "log"
        server.shutdown()
    engine.endpoint.cache_clear()
    engine._tunnel.cache_clear()


def test_an_engine_behind_ssh_is_reached_through_the_ssh_command(ssh, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "ssh://ops@Far.example:2222")
    assert engine.local_engine().ping()
    assert not engine.is_local()
    expected = "-T -o ConnectTimeout=30 -l ops -p 2222 -- Far.example docker system dial-stdio"
    assert ssh.read_text().splitlines()[0] == expected


def test_what_ssh_says_is_passed_on(ssh, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "ssh://gone")
    with pytest.raises(Error, match=r"at ssh://gone \(DOCKER_HOST\) .*not resolve hostname gone"):
        engine.local_engine()


@pytest.mark.parametrize("url", ["ssh://", "ssh://-oProxyCommand=x", "ssh://a@-x:22"])
def test_no_option_is_smuggled_to_ssh(url, monkeypatch):
    with pytest.raises(ValueError, match="names no host"):
        over_ssh.command(url)


def test_a_socket_of_the_other_side_may_be_named():
    assert over_ssh.command("ssh://h/run/d.sock")[-6:] == [
        "h", "docker", "--host", "unix:///run/d.sock", "system", "dial-stdio",
    ]  # fmt: skip
