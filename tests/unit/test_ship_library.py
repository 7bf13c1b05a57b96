"""What sending images is made of: codecs, the store of layers, archives, what a host lacks."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jobs import QUIET, job

from ppocr_control.commands import image_layers
from ppocr_control.errors import Error, Refused
from ppocr_control.images.commit import warnings_about
from ppocr_control.layers import codec, image_archive, overlay
from ppocr_control.layers.image_archive import Image, chain_ids, split_name
from ppocr_control.layers.saved_image import write_packed
from ppocr_control.layers.source import ArchiveSource, blobs_of, open_source
from ppocr_control.layers.store import Blob, LayerStore
from ppocr_control.progress import Progress
from ppocr_control.shipping import engines, registry
from ppocr_control.shipping.shipment import Shipment
from ppocr_control.shipping.state import HostState
from ppocr_control.ssh.copying import split
from ppocr_control.ssh.host import split_host

CODECS = ["gzip", *(["zstd"] if shutil.which("zstd") else [])]


def layer(text: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("file")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return out.getvalue()


def diff_id(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


LAYERS = [layer(b"base" * 200_000), layer(b"top")]


def image(**more: object) -> Image:
    config = {
        "architecture": "amd64",
        "created": "2026-01-01T00:00:00Z",
        "rootfs": {"type": "layers", "diff_ids": [diff_id(data) for data in LAYERS]},
        "config": {"Labels": {"org.ppocr.content": "abc"}},
        **more,
    }
    return Image(json.dumps(config).encode(), ("a:1",))


@pytest.fixture
def store(tmp_path: Path) -> LayerStore:
    return LayerStore(tmp_path / "store")


@pytest.fixture
def filled(store: LayerStore) -> LayerStore:
    for data in LAYERS:
        store.ensure(diff_id(data), "gzip", lambda data=data: [data])
    return store


def write_archive(path: Path, layers: list[bytes], config: bytes) -> Path:
    """As docker save wrote it before version 25."""
    files = {f"{n}/layer.tar": data for n, data in enumerate(layers)}
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": ["a:1"], "Layers": list(files)}]
    with tarfile.open(path, "w") as tar:
        for file, data in {
            **files,
            name: config,
            "manifest.json": json.dumps(manifest).encode(),
        }.items():
            info = tarfile.TarInfo(file)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("name", CODECS)
def test_codecs_give_back_what_they_got_and_the_same_bytes_again(name: str) -> None:
    data = os.urandom(100_000) + b"x" * 3_000_000
    packed = b"".join(codec.compress([data[:5], data[5:]], name))
    assert codec.detect(packed) == name
    assert b"".join(codec.compress([data], name)) == packed
    assert b"".join(codec.decompress([packed[:777], packed[777:]], name)) == data


@pytest.mark.parametrize("name", CODECS)
def test_damaged_layers_are_noticed(name: str) -> None:
    packed = b"".join(codec.compress([b"some text" * 1000], name))
    with pytest.raises(Error):
        list(codec.decompress([packed[:-10]], name))


def test_members_of_gzip_are_one_file_to_everybody() -> None:
    data = os.urandom(3 << 20)
    assert gzip.decompress(b"".join(codec.compress([data], "gzip"))) == data


@pytest.mark.parametrize(
    ("engines", "chosen"),
    [
        (["20.10.24", "28.5.2"], "gzip"),
        (["23.0.1"], "zstd"),
        (["26.1.5+dfsg1"], "zstd"),
        ([], "gzip"),
    ],
)
def test_the_oldest_engine_decides_the_codec(monkeypatch, engines: list[str], chosen: str) -> None:
    monkeypatch.setattr(codec.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert codec.choose(engines) == chosen


def test_a_layer_is_compressed_once_and_proved(store: LayerStore) -> None:
    name = diff_id(LAYERS[0])
    blob = store.ensure(name, "gzip", lambda: [LAYERS[0]])
    assert store.ensure(name, "gzip", lambda: pytest.fail("compressed again")) == blob
    assert hashlib.sha256(store.path(blob).read_bytes()).hexdigest() == blob.digest[7:]
    assert blob.raw_size == len(LAYERS[0])
    with pytest.raises(Error, match="truncated or altered"):
        store.ensure(diff_id(LAYERS[1]), "gzip", lambda: [LAYERS[0]])
    assert [path.name for path in (store.folder / "blobs").iterdir()] == [blob.digest[7:]]


def test_the_store_stays_below_its_limit(filled: LayerStore) -> None:
    old, new = (filled.blob(diff_id(data)) for data in LAYERS)
    assert old and new
    os.utime(filled.path(old), (0, time.time() - 9000))
    assert filled.prune(new.size) == old.size
    assert filled.blob(diff_id(LAYERS[0])) is None
    assert filled.prune(0) == 0  # used within the hour


def test_the_store_removes_nothing_it_does_not_list(filled: LayerStore) -> None:
    """As where PPOCR_CACHE names a folder that holds an operator's own."""
    blobs = filled.folder / "blobs"
    theirs = [blobs / "picture.jpg", blobs / ("a" * 64), blobs / "folder" / "file"]
    (blobs / "folder").mkdir()
    (filled.folder / "layers" / "notes.json").write_text("an operator's, and no list of layers")
    for path in theirs:
        path.write_text("an operator's")
    link = blobs / f"{diff_id(LAYERS[0])[7:]}.gzip.part"
    link.symlink_to(theirs[0])
    begun = blobs / f"{diff_id(LAYERS[1])[7:]}.gzip.part"
    begun.write_bytes(b"of a killed run")
    for path in [*blobs.iterdir(), *theirs]:
        os.utime(path, (0, time.time() - 9000), follow_symlinks=False)
    filled.prune(0)
    assert {path.name for path in blobs.iterdir()} == {path.name for path in theirs[:2]} | {
        "folder", link.name,
    }  # fmt: skip
    assert all(path.read_text() == "an operator's" for path in theirs)


def test_chains_are_dockers() -> None:
    a, b = "sha256:aa", "sha256:bb"
    assert chain_ids([a, b]) == [a, f"sha256:{hashlib.sha256(b'sha256:aa sha256:bb').hexdigest()}"]


def test_an_archive_of_ours_is_read_back(filled: LayerStore, tmp_path: Path) -> None:
    blobs = blobs_of(filled, image(), "gzip")
    parts = ((blob, [filled.path(blob).read_bytes()]) for blob in blobs.values())
    path = tmp_path / "ours.tar"
    path.write_bytes(b"".join(image_archive.write(image(), blobs, ["a:1"], parts)))
    with open_source(str(path)) as source:
        source.verify(QUIET)
        assert source.image.id == image().id
        again = LayerStore(tmp_path / "again")
        saved = write_packed(source, ["a:1"], tmp_path / "again.tar", again, QUIET)
    assert (tmp_path / "again.tar").read_bytes() == path.read_bytes()
    assert saved["image_id"] == image().id


def test_an_archive_of_docker_is_proved(store: LayerStore, tmp_path: Path) -> None:
    whole = write_archive(tmp_path / "whole.tar", LAYERS, image().config)
    with open_source(str(whole)) as source:
        source.fill(store, image().diff_ids, "gzip", QUIET)
    assert len(blobs_of(store, image(), "gzip")) == 2
    altered = write_archive(tmp_path / "altered.tar", [LAYERS[1], LAYERS[1]], image().config)
    with open_source(str(altered)) as source, pytest.raises(Refused, match="altered"):
        source.verify(QUIET)
    short = tmp_path / "short.tar"
    short.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(Refused), open_source(str(short)) as source:
        source.verify(QUIET)
    (tmp_path / "text.tar").write_text("no archive")
    with pytest.raises(Refused, match="cannot be read as a saved image"):
        ArchiveSource(tmp_path / "text.tar")


def test_the_oci_half_is_left_out_where_layers_are_unknown(filled: LayerStore) -> None:
    blobs = blobs_of(filled, image(), "gzip")
    assert "index.json" in image_archive.small_files(image(), blobs)
    assert "index.json" not in image_archive.small_files(image(), blobs, ["a:1"])
    top = {diff_id(LAYERS[1]): blobs[diff_id(LAYERS[1])]}
    files = image_archive.small_files(image(), top)
    assert "index.json" not in files
    names = json.loads(files["manifest.json"])[0]["Layers"]
    assert names[0].endswith(diff_id(LAYERS[0])[7:])


def probe_text(images: list[dict], driver: str = "overlay2", content: tuple[str, ...] = ()) -> str:
    status = [["driver-type", "io.containerd.snapshotter.v1"]] if driver == "overlayfs" else []
    info = {"Architecture": "x86_64", "Driver": driver, "DriverStatus": status}
    lines = ["version\t26.1.5", f"info\t{json.dumps(info)}"]
    lines += [f"image\t{json.dumps(each)}" for each in images]
    lines += [f"content\t{digest}" for digest in content]
    return "\n".join([*lines, "staged\t17 abc/def", "df\t/ 1000", "df\t/ 1000"])


def there(layers: list[str], name: str = "sha256:other") -> dict:
    return {"id": name, "layers": layers, "tags": ["x:1"], "created": "then", "labels": None}


def test_a_classic_host_lacks_what_its_chains_lack() -> None:
    base, top = image().diff_ids
    assert HostState.parse(probe_text([])).missing(image(), {}) == [base, top]
    assert HostState.parse(probe_text([there([base])])).missing(image(), {}) == [top]
    # The same layer on another base is another chain.
    assert HostState.parse(probe_text([there([top])])).missing(image(), {}) == [base, top]
    state = HostState.parse(probe_text([there([base, top], image().id)]))
    assert state.find(image()) == image().id
    assert state.staged == {"abc/def": 17}


def test_an_inspect_that_finds_nothing_is_no_image() -> None:
    state = HostState.parse(probe_text([there([])]))
    assert state.with_images("image\t\n").images == ()


def test_containerd_without_docker_has_an_image_by_its_configuration() -> None:
    def row(config_id: str, config: dict) -> dict:
        ref = "docker.io/library/a:1"
        return {"id": "sha256:manifest", "config_id": config_id, "ref": ref, "config": config}

    state = HostState.parse(probe_text([row(image().id, image().parsed)]))
    assert state.find(image()) == "sha256:manifest"
    assert state.tags == {"a:1": "sha256:manifest"}
    # What is in a cluster besides images of containers
    assert HostState.parse(probe_text([row("sha256:x", {"rootfs": None})])).find(image()) is None


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("ppocr", "docker.io/library/ppocr:latest"),
        ("ppocr:1.0.0", "docker.io/library/ppocr:1.0.0"),
        ("site/ocr:1", "docker.io/site/ocr:1"),
        ("registry:5000/ocr:1", "registry:5000/ocr:1"),
        ("localhost/ocr:1", "localhost/ocr:1"),
    ],
)
def test_containerd_knows_an_image_by_its_full_name(name: str, full: str) -> None:
    assert engines.full_name(name) == full


def test_a_command_of_containerd_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(Refused, match="ppocr_image_ctr"):
        engines.engine("ctr --namespace 'k8s.io")


def test_a_containerd_host_lacks_what_it_has_not_under_that_digest(filled: LayerStore) -> None:
    blobs = blobs_of(filled, image(), "gzip")
    base, top = image().diff_ids
    held = (blobs[base].digest,)
    state = HostState.parse(probe_text([there([base])], "overlayfs", held))
    assert state.store == "containerd"
    assert state.missing(image(), blobs) == [top]
    same = there([base, top]) | {"created": image().parsed["created"], "labels": image().labels}
    assert HostState.parse(probe_text([same], "overlayfs")).find(image()) == "sha256:other"


@pytest.mark.parametrize("order", ["abc", "aebec"])
def test_room_is_that_of_the_worst_moment(store: LayerStore, order: str) -> None:
    """Three layers of 100 MB, packed 40: each is copied and unpacked while later ones wait.

    An empty layer that the image has twice, as it has for packages that are not installed, changes
    nothing.
    """
    mb, layers = 1_000_000, [diff_id(letter.encode()) for letter in order]
    config = image().parsed | {"rootfs": {"type": "layers", "diff_ids": layers}}
    wanted = Image(json.dumps(config).encode())
    blobs = {d: Blob(d, "gzip", f"sha256:{n}", 40 * mb, 100 * mb) for n, d in enumerate(layers)}
    blobs[diff_id(b"e")] = Blob(diff_id(b"e"), "gzip", "sha256:empty", 0, 0)

    def tight(free: int, whole: bool = False, staging: str = "/") -> bool:
        df = (f"{staging} {free * mb}", f"/ {free * mb}")
        state = replace(HostState.parse(probe_text([])), df=df)
        host: Any = SimpleNamespace(name="host")
        made = Shipment(job(wanted, store, "/s"), host, state, blobs, whole=whole)
        return made.check(list(dict.fromkeys(layers)))

    # Sent 120; at the end one copied (40), all unpacked (315 and 17), two no longer staged (80).
    assert tight(413) is False
    assert tight(411) is True
    assert tight(373) is True
    with pytest.raises(Refused, match="needed 372 MB, free 371 MB"):
        tight(371)
    assert tight(573, whole=True) is False
    assert tight(571, whole=True) is True
    # Where layers are staged elsewhere, removing them helps nobody.
    assert tight(373, staging="/data") is False
    with pytest.raises(Refused, match="/: needed 372 MB"):
        tight(371, staging="/data")


def test_engine_files_are_not_read_for_an_engine_elsewhere(monkeypatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:1")
    assert overlay.config({"Driver": "overlay2", "DockerRootDir": "/"}, "sha256:aa") is None


def test_committing_warns_of_mounts_and_secrets() -> None:
    container = {
        "Mounts": [{"Type": "bind", "Source": "/opt/paddle", "Destination": "/opt/paddle"}],
        "HostConfig": {"Tmpfs": {"/run": ""}},
        "Config": {"Env": ["DB_PASSWORD=x", "PATH=/bin", "EMPTY_TOKEN="]},
    }
    reported = warnings_about(container)
    assert len(reported) == 3
    assert "DB_PASSWORD" in reported[2]
    assert "x" not in reported[2].split()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("web1", (None, "web1", None)),
        ("ops@web1:2222", ("ops", "web1", 2222)),
        ("[2001:db8::1]:22", (None, "2001:db8::1", 22)),
    ],
)
def test_hosts_are_read_as_ssh_reads_them(text: str, parts: tuple) -> None:
    assert split_host(text) == parts


@pytest.mark.parametrize("text", ["", "a b", "2001:db8::1", "web1:ssh"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        split_host(text)


def test_places_are_read_as_scp_reads_them() -> None:
    assert split("web1:/home/x") == ("web1", "/home/x")
    assert split("ops@web1:") == ("ops@web1", ".")
    assert split("/home/a:b") == ("", "/home/a:b")


def test_names_of_images() -> None:
    assert split_name("host:5000/ppocr") == ("host:5000/ppocr", "latest")
    assert split_name("host:5000/ppocr:1") == ("host:5000/ppocr", "1")
    with pytest.raises(Refused):
        split_name("ppocr:")


def test_what_a_registry_calls_an_image() -> None:
    named = Image(image().config, ("old.example:5000/team/ppocr:1.0.0",))
    assert registry.name_in("new.example/ocr/", named) == ("new.example/ocr/ppocr", "1.0.0")
    nameless = Image(image().config)
    assert registry.name_in("r:5000", nameless) == ("r:5000/ppocr", nameless.id[7:19])


def test_a_file_is_not_pushed_where_loading_it_takes_a_name(monkeypatch, tmp_path: Path) -> None:
    api = SimpleNamespace(inspect_image=lambda name: {"RootFS": {"Layers": ["sha256:other"]}})
    monkeypatch.setattr(registry, "local_engine", lambda: SimpleNamespace(api=api))
    path = write_archive(tmp_path / "image.tar", LAYERS, image().config)
    with (
        open_source(str(path)) as source,
        pytest.raises(Refused, match="where a:1 is another image:"),
    ):
        registry.push(source, "r:5000", QUIET)


def test_a_pull_that_cannot_fit_is_refused() -> None:
    base, top = image().diff_ids
    sizes = {base: 500_000_000, top: 10}
    host: Any = SimpleNamespace(name="web1")
    bare = HostState.parse(probe_text([]).replace("/ 1000", "/ 200000000"))
    with pytest.raises(Refused, match="web1: not enough room: /: needed 542 MB, free 200 MB"):
        registry.check_room(host, bare, image(), sizes)
    has_base = HostState.parse(probe_text([there([base])]).replace("/ 1000", "/ 200000000"))
    registry.check_room(host, has_base, image(), sizes)
    registry.check_room(host, bare, image(), {})  # unknown: the host finds out


def test_a_full_disk_of_this_machine_is_told_in_a_sentence(tmp_path: Path, capsys) -> None:
    store = LayerStore(tmp_path / "store")
    archive = write_archive(tmp_path / "a.tar", LAYERS, image().config)
    part = store.folder / f"blobs/{diff_id(LAYERS[0]).partition(':')[2]}.gzip.part"
    part.symlink_to("/dev/full")
    arguments = ["fill", str(archive), "--store", str(store.folder), "--quiet", "--json"]
    assert image_layers.main(arguments) == 1
    told = capsys.readouterr()
    assert "No space left on device. Make room where it writes" in json.loads(told.out)["error"]
    assert told.err.startswith("error: this machine: ")


def test_progress_says_rate_and_time_left() -> None:
    stream = io.StringIO()
    progress = Progress("sending", stream)
    progress.start("web1", 200_000_000, done=100_000_000)
    progress._began -= 10
    progress.add("web1", 50_000_000)
    assert progress.line(progress._began + 10).startswith(
        "sending 150 MB of 200 MB (75 %), 5.0 MB/s, 0:10 left"
    )
