"""Layers rebuilt from files the host has: what is copied, what is sent, what is noticed."""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from jobs import job

from ppocr_control.errors import Error
from ppocr_control.layers.image_archive import Image, chain_ids
from ppocr_control.layers.store import Blob, LayerStore
from ppocr_control.shipping import file_delta, relay
from ppocr_control.shipping.file_delta import HostFiles
from ppocr_control.shipping.on_host import layer_delta
from ppocr_control.shipping.relay import MissingLayers
from ppocr_control.shipping.shipment import Shipment
from ppocr_control.shipping.state import HostState
from ppocr_control.ssh.python import program
from ppocr_control.ssh.transport import Answer

CHAIN = "sha256:" + "ab" * 32
EVERYTHING = 1 << 40


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    return hashlib.shake_128(bytes([seed])).digest(size)


def member(name: str, **about: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in about.items():
        setattr(info, key, value)
    return info


def tar(files: Iterable[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, errors="surrogateescape") as archive:
        for info, data in files:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def files(**contents: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(member(name, mtime=7), data) for name, data in contents.items()]


class HostFolder:
    """What an engine on a host keeps of one layer: a folder of its files."""

    def __init__(self, root: Path) -> None:
        self.root, self.diff = root, root / "overlay2/cache/diff"
        record = root / "image/overlay2/layerdb/sha256" / CHAIN[7:]
        record.mkdir(parents=True)
        self.diff.mkdir(parents=True)
        (record / "cache-id").write_text("cache\n")
        (record / "size").write_text("1000")

    def put(self, name: str | bytes, data: bytes) -> None:
        path = Path(os.fsdecode(os.path.join(os.fsencode(self.diff), os.fsencode(name))))  # noqa: PTH118
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def held(self) -> HostFiles:
        return HostFiles(layer_delta.index(EVERYTHING, str(self.root), [CHAIN]))

    def rebuild(self, delta: bytes) -> bytes:
        layers = [layer_delta.Files(layer_delta.folder_of(str(self.root), CHAIN))]
        return b"".join(layer_delta.rebuilt(io.BytesIO(delta), layers))


@pytest.fixture
def host(tmp_path: Path) -> HostFolder:
    return HostFolder(tmp_path / "engine")


@pytest.fixture
def store(tmp_path: Path) -> LayerStore:
    return LayerStore(tmp_path / "store")


def delta_of(data: bytes, held: HostFiles) -> bytes:
    # Blocks of an odd size, so that nothing leans on where they end.
    blocks = [data[n : n + 7001] for n in range(0, len(data), 7001)]
    return b"".join(file_delta.records(blocks, len(data), held.copies(blocks)))


def keep(store: LayerStore, data: bytes) -> Blob:
    name = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return store.ensure(name, "gzip", lambda: [data])


def test_only_what_the_host_has_not_is_in_the_delta(host: HostFolder) -> None:
    host.put("a/one", noise(300_000))
    host.put("two", noise(5000, 2))
    new = tar(files(**{"a/one": noise(300_000), "two": b"changed", "three": b"new"}))
    delta = delta_of(new, host.held())
    assert len(delta) < len(new) - 295_000
    assert b"changed" in delta
    assert host.rebuild(delta) == new


def test_a_file_that_moved_or_grew_is_copied(host: HostFolder) -> None:
    block = layer_delta.BLOCK
    host.put("old/name", noise(3 * block))
    new = tar(files(**{"new/name": noise(3 * block)[: 2 * block] + b"other end" * 9}))
    delta = delta_of(new, host.held())
    assert delta.count(b"old/name") == 1  # two pieces that follow each other are one copy
    assert len(delta) < len(new) - 2 * block + 1000
    assert host.rebuild(delta) == new


def test_whatever_else_a_layer_holds_stays_as_it_is(host: HostFolder) -> None:
    name, data = "x" * 300, noise(9000, 3)
    odd = "caf\udce9 \n'quoted'\udcff"
    host.put("long/" + name[:100] + "/" + name[:90], data)
    host.put(odd.encode("utf-8", "surrogateescape"), noise(8000, 4))
    rows = [
        (member("dir", type=tarfile.DIRTYPE, mode=0o1777), b""),
        (member("dir/.wh.gone"), b""),
        (member("dir/.wh..wh..opq"), b""),
        (member("long/" + name[:100] + "/" + name[:90], uid=3_000_000, mtime=7.5), data),
        (member("again", type=tarfile.LNKTYPE, linkname="dir/file"), b""),
        (member("link", type=tarfile.SYMTYPE, linkname="/etc/" + name), b""),
        (member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3), b""),
        (member(odd, pax_headers={"SCHILY.xattr.security.capability": "x"}), noise(8000, 4)),
        (member("empty"), b""),
    ]
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        new = tar(rows, form) + b"\0" * 4096
        delta = delta_of(new, host.held())
        assert len(delta) < len(new) - 16_000
        assert host.rebuild(delta) == new


def test_sparse_members_are_sent(host: HostFolder, tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as file:
        file.write(noise(70_000))
        file.seek(10 << 20)
        file.write(noise(70_000, 1))
    packed = tmp_path / "sparse.tar"
    for form in ("gnu", "posix"):
        command = ["tar", "-cSf", str(packed), f"--format={form}", "-C", str(tmp_path), "holes"]
        subprocess.run(command, check=True)
        host.put("holes", (tmp_path / "holes").read_bytes())
        new = packed.read_bytes()
        assert len(new) < 1 << 20
        assert host.rebuild(delta_of(new, host.held())) == new


def test_hard_links_links_and_devices_on_the_host(host: HostFolder) -> None:
    host.put("z/file", noise(5000))
    os.link(host.diff / "z/file", host.diff / "a-link")
    (host.diff / "symlink").symlink_to("z/file")
    (host.diff / "out").symlink_to("/etc")
    os.mkfifo(host.diff / "pipe")
    rows = layer_delta.files_in(host.diff)
    assert [row[:2] for row in rows] == [["a-link", 5000]]
    new = tar(files(**{"z/file": noise(5000)}))
    assert host.rebuild(delta_of(new, host.held())) == new


def test_a_file_altered_before_is_sent_and_one_altered_after_is_noticed(host: HostFolder) -> None:
    host.put("one", noise(9000))
    new = tar(files(one=noise(9000)))
    delta = delta_of(new, host.held())
    host.put("one", noise(8999) + b"x")
    assert host.rebuild(delta) != new  # its sha256 is not the layer's: the engine refuses it
    assert host.rebuild(delta_of(new, host.held())) == new
    host.put("one", noise(8000))
    with pytest.raises(OSError, match="shorter"):
        host.rebuild(delta)


@pytest.mark.parametrize("path", [b"../secret", b"a/../../secret", b"way/secret", b"link"])
def test_a_delta_reads_nothing_outside_its_layer(host: HostFolder, path: bytes) -> None:
    (host.diff.parent / "secret").write_bytes(b"secret")
    (host.diff / "way").symlink_to(host.diff.parent)
    (host.diff / "link").symlink_to(host.diff.parent / "secret")
    with pytest.raises((OSError, ValueError)):
        host.rebuild(b"< 0 0 6 %d\n%s" % (len(path), path))


def test_a_delta_is_made_once_for_hosts_with_the_same_files(
    host: HostFolder, store: LayerStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = HostFolder(tmp_path / "other")
    for each in (host, other):
        each.put("one", noise(50_000))
    data = tar(files(one=noise(50_000), two=b"new"))
    layer = keep(store, data)
    first = file_delta.make(layer, host.held(), store)
    assert first and first.size < 1000
    assert file_delta.make(layer, other.held(), store) == first
    assert host.rebuild(gzip.decompress(store.path(first).read_bytes())) == data
    other.put("one", noise(50_000, 9))
    assert file_delta.make(layer, other.held(), store) is None  # too much differs to pay
    monkeypatch.setattr(HostFiles, "copies", lambda *_: pytest.fail("compared again"))
    assert file_delta.make(layer, other.held(), store) is None
    assert file_delta.make(layer, host.held(), store) == first


def test_what_is_no_index_and_no_tar_is_trouble(host: HostFolder) -> None:
    for output in ("", "no", "bm8="):
        with pytest.raises(Error, match="cannot be read"):
            HostFiles(output)
    with pytest.raises(Error, match="tar cannot be read"):
        host.held().copies([b"not a tar" * 1000])


def image_there(name: str, layers: list[str], created: str = "2026") -> dict:
    return {"id": f"sha256:{name}{created}", "tags": [name], "layers": layers, "created": created}


def test_the_nearest_image_is_compared_with() -> None:
    new = ["sha256:base", "sha256:new"]
    other = image_there("other:1", ["sha256:base", "sha256:x"])
    first = image_there("ppocr:1", ["sha256:base", "sha256:a"], "2026-01")
    second = image_there("ppocr:2", ["sha256:base", "sha256:b"], "2026-02")
    apart = image_there("stranger:1", ["sha256:y"])
    base = file_delta.delta_base([other, first, second, apart], new, ["ppocr:3"])
    assert base == file_delta.DeltaBase("ppocr:2", (chain_ids(second["layers"])[1],))
    assert file_delta.delta_base([other, apart], new, ["ppocr:3"]).name == "other:1"
    assert file_delta.delta_base([apart], new, ["ppocr:3"]) is None
    # Nothing of its own, so nothing to compare with.
    assert file_delta.delta_base([image_there("base:1", new[:1])], new, ["ppocr:3"]) is None
    nameless = {
        "id": "sha256:0123456789abcdef",
        "tags": None,
        "layers": ["sha256:base", "sha256:x"],
    }
    assert file_delta.delta_base([nameless | {"created": ""}], new, []).name == "0123456789ab"


#: Takes an image as an engine does: whole, and each layer as its configuration says.
DOCKER = """#!{python}
import hashlib, json, pathlib, sys, tarfile
loaded = pathlib.Path({loaded!r})
if sys.argv[1] == "load":
    loaded.unlink(missing_ok=True)
    data = sys.stdin.buffer.read()
    part = loaded.with_suffix(".part")
    part.write_bytes(data)
    try:
        with tarfile.open(part) as archive:
            (entry,) = json.load(archive.extractfile("manifest.json"))
            config = archive.extractfile(entry["Config"]).read()
            found = [archive.extractfile(layer).read() for layer in entry["Layers"]]
    except tarfile.TarError as error:
        sys.exit(str(error))
    sums = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in found]
    if sums != json.loads(config)["rootfs"]["diff_ids"]:
        sys.exit("invalid diffID for layer")
    part.rename(loaded)
    row = dict(id="sha256:" + hashlib.sha256(config).hexdigest(), layers=sums)
    loaded.with_suffix(".json").write_text(json.dumps(row | dict(tags=[], created="", labels={{}})))
elif sys.argv[1:3] == ["image", "inspect"] and loaded.exists():
    print(loaded.with_suffix(".json").read_text())
"""


class LocalHost:
    """This machine as a host, with a docker command that keeps what it is given to load."""

    name = "local"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        docker = folder / "docker"
        docker.write_text(DOCKER.format(python=sys.executable, loaded=str(folder / "loaded")))
        docker.chmod(0o755)

    def run(self, script: str) -> Answer:
        environment = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-s"], input=script, capture_output=True, text=True, env=environment
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def put(self, blocks: Iterable[bytes], path: str, offset: int) -> None:
        Path(path).write_bytes(b"".join(blocks))


def state(host: HostFolder, free: int) -> HostState:
    df = (f"/ {free}", f"/ {free}")
    return HostState("20", "amd64", "classic", (), frozenset(), {}, df, files_root=str(host.root))


def shipment(
    there: LocalHost, host: HostFolder, store: LayerStore, data: bytes, free: int = 1 << 40
) -> Shipment:
    blob = keep(store, data)
    config = {"architecture": "amd64", "rootfs": {"diff_ids": [blob.diff_id]}}
    image = Image(json.dumps(config).encode())
    staging = str(there.folder / "staging")
    made = Shipment(job(image, store, staging), there, state(host, free), {blob.diff_id: blob})
    base = file_delta.DeltaBase("ppocr:1", (CHAIN,))
    made.deltas = file_delta.find(there, str(host.root), base, [blob], store, made.remaining)
    return made


def test_a_host_rebuilds_the_layer_on_its_way_into_the_engine(
    host: HostFolder, store: LayerStore, tmp_path: Path
) -> None:
    host.put("one", noise(400_000))
    data = tar(files(one=noise(400_000), two=b"new"))
    there = LocalHost(tmp_path)
    made = shipment(there, host, store, data)
    assert len(made.deltas) == 1
    assert made.check(made.image.diff_ids) is False
    made.send(made.image.diff_ids)
    assert made.sent < 1000
    assert made.load(made.image.diff_ids, False) == made.image.id
    with tarfile.open(tmp_path / "loaded") as archive:
        listed = json.loads(archive.extractfile("manifest.json").read())[0]["Layers"]
        assert archive.extractfile(listed[0]).read() == data
    # A file that was altered by then makes another layer; one that is gone cuts it short.
    host.put("one", noise(399_999) + b"x")
    with pytest.raises(Error, match="docker load: .*invalid diffID"):
        made.load(made.image.diff_ids, False)
    (host.diff / "one").unlink()
    with pytest.raises(Error, match="directory: b'one'\nunexpected end of data"):
        made.load(made.image.diff_ids, False)
    assert not (tmp_path / "loaded").exists()


def test_where_room_is_short_the_layer_is_sent_as_it_is(
    host: HostFolder, store: LayerStore, tmp_path: Path
) -> None:
    text = b"".join(b"line %d\n" % n for n in range(1 << 18))
    host.put("one", text)
    data = tar(files(one=text, two=b"new"))
    room = int(1.6 * len(data)) + (16 << 20)
    made = shipment(LocalHost(tmp_path), host, store, data, free=room)
    assert made.deltas
    made.check(made.image.diff_ids)
    assert not made.deltas


def test_a_relay_hears_what_a_host_can_rebuild(
    host: HostFolder, store: LayerStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_delta, "SMALLEST", 1000)
    host.put("one", noise(400_000))
    made = shipment(
        LocalHost(tmp_path), host, store, tar(files(one=noise(400_000), two=b"new")), 1 << 40
    )
    old = image_there("ppocr:1", [CHAIN])

    def lack(free: int, mode: str = "auto", consume: bool | None = None) -> MissingLayers:
        asked = replace(made.job, names=["ppocr:2"], mode=mode, little_room=consume)
        return relay.missing_layers(asked, made.host, replace(state(host, free), images=(old,)))

    (layer,) = made.image.diff_ids
    assert lack(1 << 40).layers == [layer]
    assert 0 < lack(1 << 40).deltas[layer] < 1000
    assert lack(1 << 40, consume=True).deltas == lack(1 << 40, "whole").deltas == {}
    # Too little room: the host's own delivery says so.
    assert lack(1000) == MissingLayers([layer], frozenset(), {})


def test_an_old_image_too_large_to_read_is_let_be(host: HostFolder) -> None:
    with pytest.raises(OSError, match="too much to compare"):
        layer_delta.index(999, str(host.root), [CHAIN])


def test_a_host_without_python_or_rights_says_so(host: HostFolder, tmp_path: Path) -> None:
    there = LocalHost(tmp_path)
    asked = {"root": str(host.root), "chains": ["sha256:00"], "limit": 9}
    script = program("layer_delta", asked, "ppocr-compare")
    gone = there.run(script)
    assert gone.status and gone.err.startswith("[Errno 2]")
    none = there.run(f"PATH={tmp_path}\n{script}")
    assert (none.status, none.err.strip()) == (9, "it has no python3")


def test_hosts_may_have_an_older_python() -> None:
    ast.parse(Path(layer_delta.__file__).read_text(), feature_version=(3, 6))
