"""A relay's server and what fetches from it, as the programs that run on hosts."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jobs import QUIET, job

from ppocr_control.layers.image_archive import Image
from ppocr_control.layers.store import Blob, LayerStore
from ppocr_control.shipping import relay
from ppocr_control.shipping.on_host import relay_serve
from ppocr_control.ssh.python import program
from ppocr_control.ssh.transport import Answer

DATA = os.urandom(3_000_000)
NAME = hashlib.sha256(DATA).hexdigest()
TOKEN = "a-token-of-this-run"  # noqa: S105


def sh(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-s"], input=script, capture_output=True, text=True, timeout=60, check=False
    )


def gone(pid: int) -> bool:
    path = Path(f"/proc/{pid}/stat")
    return not path.exists() or path.read_text().rpartition(")")[2].split()[0] == "Z"


def until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


class Served:
    """A relay's server on this machine's loopback."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / NAME).write_bytes(DATA)
        (folder / "secret").write_text("not to be served")
        self.settings = {
            "address": "127.0.0.1", "port": 0, "token": TOKEN, "trial": False, "blobs": [NAME],
            "folder": str(folder), "idle": 60, "hours": 1, **settings,
        }  # fmt: skip
        done = sh(program("relay_serve", self.settings, "ppocr-relay"))
        assert done.returncode == 0, done.stderr
        self.pid, self.port = map(int, done.stdout.split())

    def get(self, path: str, token: str = TOKEN, **headers: str) -> tuple[int, bytes]:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers["Authorization"] = f"Bearer {token}"
        client.request("GET", path, headers=headers)
        answer = client.getresponse()
        return answer.status, answer.read()

    def fetch(self, folder: Path, **settings: Any) -> dict[str, Any]:
        folder.mkdir(exist_ok=True)
        wanted = {
            "address": "127.0.0.1", "port": self.port, "token": TOKEN, "seconds": 10,
            "folder": str(folder), "blobs": [[NAME, len(DATA)]], **settings,
        }  # fmt: skip
        done = sh(program("relay_fetch", wanted, "ppocr-relay"))
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def kill(self) -> None:
        if not gone(self.pid):
            os.kill(self.pid, signal.SIGKILL)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def start(**settings: Any) -> Served:
        made.append(Served(tmp_path / "relay", **settings))
        return made[-1]

    yield start
    for served in made:
        served.kill()


def test_gives_its_layers_to_who_knows_the_token(serve) -> None:
    served = serve()
    assert served.get(f"/{NAME}") == (200, DATA)
    assert served.get(f"/{NAME}", Range="bytes=2999000-") == (206, DATA[2_999_000:])
    assert served.get(f"/{NAME}", Range="bytes=3000001-")[0] == 416
    assert served.get(f"/{NAME}", Range="bytes=1-2")[0] == 416
    assert served.get(f"/{NAME}", token="another")[0] == 403  # noqa: S106
    for path in ("/secret", "/", f"/../relay/{NAME}", "/etc/passwd"):
        assert served.get(path)[0] == 404, path
    said = Path(f"/proc/{served.pid}/cmdline").read_text()
    assert "ppocr-relay" in said and TOKEN not in said
    assert TOKEN not in Path(f"/proc/{served.pid}/environ").read_text()


def test_fetches_from_the_byte_that_is_there(serve, tmp_path: Path) -> None:
    served, folder = serve(), tmp_path / "peer"
    folder.mkdir()
    (folder / NAME).write_bytes(DATA[:1_000_000])
    whole = {"have": len(DATA), "error": "", "refused": False}
    assert served.fetch(folder) == whole
    assert (folder / NAME).read_bytes() == DATA
    (folder / NAME).write_bytes(DATA + b"more than there is")
    assert served.fetch(folder) == whole
    assert (folder / NAME).read_bytes() == DATA


def test_a_fetch_says_why_nothing_comes(serve, tmp_path: Path) -> None:
    served, folder = serve(), tmp_path / "peer"
    refused = served.fetch(folder, token="another")  # noqa: S106
    assert refused == {"have": 0, "error": "it answers with status 403", "refused": True}
    served.kill()
    assert until(lambda: gone(served.pid), 5)
    off = served.fetch(folder)
    assert off["refused"] and "refused" in off["error"]


def test_an_altered_layer_comes_in_its_size_at_most(serve, tmp_path: Path) -> None:
    served, folder = serve(), tmp_path / "peer"
    (served.folder / NAME).write_bytes(b"x" * (len(DATA) + 500))
    assert served.fetch(folder)["have"] == len(DATA)
    assert (folder / NAME).stat().st_size == len(DATA)


@pytest.mark.parametrize(
    "settings", [{"idle": 1}, {"hours": 1 / 3600}], ids=["nobody asks", "its time is up"]
)
def test_the_server_ends_by_itself(serve, settings: dict[str, float]) -> None:
    served = serve(**settings)
    assert until(lambda: gone(served.pid), 10)
    assert (served.folder / NAME).exists()  # another run goes on with it


def test_the_server_ends_with_its_folder(serve) -> None:
    served = serve()
    for path in served.folder.iterdir():
        path.unlink()
    served.folder.rmdir()
    assert until(lambda: gone(served.pid), 10)


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        settings = {
            "address": "127.0.0.1", "port": port, "token": TOKEN, "trial": True, "blobs": [],
            "folder": str(tmp_path), "idle": 1, "hours": 1,
        }  # fmt: skip
        done = sh(program("relay_serve", settings, "ppocr-relay"))
    assert done.returncode == 1
    assert f"port {port}: Address already in use" in done.stderr


def test_listens_on_all_addresses_only_where_the_peers_is_not_its_own(tmp_path: Path) -> None:
    settings = {
        "port": 0, "token": TOKEN, "blobs": [], "folder": str(tmp_path), "idle": 1, "hours": 1,
    }  # fmt: skip
    for address, bound in (("127.0.0.1", {"127.0.0.1"}), ("192.0.2.7", {"::", "0.0.0.0"})):
        with relay_serve.listen({**settings, "address": address}) as server:
            assert server.server_address[0] in bound


class Scripted:
    """A transport whose answers are written down."""

    name = "web2"

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    def run(self, script: str) -> Answer:
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Answer) else Answer(0, json.dumps(said), "")


class Peer:
    """As much of a shipment as a fetch asks of."""

    def __init__(self, host: Scripted) -> None:
        self.host, self.folder = host, "/staging/x"
        self.blobs = {"sha256:a": Blob("sha256:a", "gzip", f"sha256:{NAME}", 100, 200)}
        self.job = SimpleNamespace(progress=QUIET)

    def check(self, layers: object) -> bool:
        return False

    def open_staging(self, blobs: object) -> None: ...

    def left(self, blob: object) -> int:
        return 90


def fetched(
    monkeypatch: pytest.MonkeyPatch, *answers: object, standstill: float = 3600
) -> tuple[int, str]:
    monkeypatch.setattr(relay, "_PAUSE", 0.01)
    monkeypatch.setattr(relay, "_STANDSTILL", standstill)
    session = relay.Session("web1", 1, TOKEN)
    return relay.fetch(Peer(Scripted(*answers)), ["sha256:a"], session, "192.0.2.1")  # type: ignore[arg-type]


def slice_of(have: int, error: str = "", refused: bool = False) -> dict[str, Any]:
    return {"have": have, "error": error, "refused": refused}


def test_goes_on_after_what_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = slice_of(40, "refused", True)
    lost = relay.LinkLost("the link broke")
    answers = (slice_of(40), refused, refused, lost, slice_of(70, "timed out"), slice_of(100))
    assert fetched(monkeypatch, *answers) == (90, "")


def test_gives_up_what_stands_still_or_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    came, why = fetched(monkeypatch, slice_of(40), slice_of(40, "timed out"), standstill=0.2)
    assert came == 30 and why == "fetching from 192.0.2.1:1: timed out"
    # A refusal is asked again a few times; it does not wait for the standstill's hour.
    came, why = fetched(monkeypatch, slice_of(40), slice_of(40, "Connection refused", True))
    assert came == 30 and "refused" in why


def test_a_host_without_python_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(relay.Error, match="web2: it has no python3"):
        fetched(monkeypatch, Answer(9, "", "it has no python3"))
    bare = subprocess.run(
        ["/bin/sh", "-s"], input=program("relay_fetch", {}, "ppocr-relay"), capture_output=True,
        text=True, env={"PATH": "/nowhere"}, check=False,
    )  # fmt: skip
    assert (bare.returncode, bare.stderr.strip()) == (9, "it has no python3")


def image_of(*diff_ids: str) -> tuple[Image, dict[str, Blob]]:
    image = Image(json.dumps({"rootfs": {"diff_ids": diff_ids}}).encode())
    return image, {d: Blob(d, "gzip", f"{d}-packed", 100, 200) for d in diff_ids}


def test_a_relay_needs_what_any_host_lacks_and_has_not_compressed() -> None:
    image, blobs = image_of("sha256:a", "sha256:b", "sha256:c", "sha256:b")
    others = [
        relay.Lack(["sha256:c"]),
        relay.Lack(image.diff_ids, {"sha256:a-packed", "sha256:c-packed"}),
    ]
    assert relay.shared(image, blobs, others, None) == (["sha256:b", "sha256:c"], [])
    assert relay.shared(image, blobs, [], others[0]) == ([], ["sha256:c"])


def test_a_layer_hosts_can_rebuild_does_not_go_to_the_relay() -> None:
    image, blobs = image_of("sha256:big", "sha256:top")
    rebuilds = relay.Lack(image.diff_ids, deltas={"sha256:big": 30})
    lacks_it = relay.Lack(image.diff_ids)
    top, both = ["sha256:top"], image.diff_ids
    assert relay.shared(image, blobs, [rebuilds] * 2, rebuilds) == (top, top)
    assert relay.shared(image, blobs, [rebuilds], None) == (top, [])
    # Four times a third is more than the layer; and one who needs it whole pays for all.
    assert relay.shared(image, blobs, [rebuilds] * 3, rebuilds) == (both, both)
    assert relay.shared(image, blobs, [rebuilds, lacks_it], rebuilds) == (both, both)
    assert relay.shared(image, blobs, [rebuilds], lacks_it) == (both, both)


def test_a_relay_nobody_needs_serves_nothing(tmp_path: Path) -> None:
    image, _ = image_of("sha256:a")
    never = Scripted(AssertionError("asked"))
    made = relay.Relay(job(image, LayerStore(tmp_path)), never)  # type: ignore[arg-type]
    assert made.open(relay.Choice("far1", "192.0.2.1"), [], []) == relay.Session("far1")


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(relay.Session("web1", 1, TOKEN))
