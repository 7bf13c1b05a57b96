"""Images to send in tests, and scripts/ship_image.py as an operator would run it."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import pty
import random
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from hostlab import Host
from hostlab.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
STAGING = "/var/lib/ppocr/staging"
MB = 1_000_000


def image(tag: str, layers: Iterable[bytes], content: str = "parcel") -> str:
    """An image in this machine's engine, a layer for each of the contents; returns its tag.

    Contents that are equal become one layer that the image has several times.
    """
    base = f"{tag}-base"
    layers = list(layers)
    client = docker.from_env()
    client.api.import_image_from_data(tar({"first": layers[0]}), *base.split(":"))
    lines = [f"FROM {base}", *(f"COPY {n} /{n}" for n in map(layers.index, layers[1:]))]
    lines += [f"LABEL org.ppocr.content={content}", 'CMD ["/none"]']
    files = {"Dockerfile": "\n".join(lines).encode()}
    files |= {str(n): data for n, data in enumerate(layers) if n}
    return build(tag, files)


@contextmanager
def two_versions(one: str, two: str, seed: int) -> Iterator[None]:
    """Two small images of which the second changes one file on top, for as long as needed."""
    layers = [noise(2, seed), noise(5, seed + 1), b"one"]
    image(one, layers, "one")
    image(two, [*layers[:2], b"two"], "two")
    yield
    names = [name for tag in (one, two) for name in (tag, f"{tag}-base")]
    subprocess.run(["docker", "image", "rm", *names], capture_output=True, check=False)


def build(tag: str, files: dict[str, bytes]) -> str:
    """An image from a Dockerfile and what it copies; returns its tag."""
    context = io.BytesIO(tar(files))
    docker.from_env().images.build(fileobj=context, custom_context=True, tag=tag, rm=True)
    return tag


def commit(tag: str, base: str, files: dict[str, bytes]) -> str:
    """``docker commit`` of a container of ``base`` with files of its own; returns the tag."""
    client = docker.from_env()
    container = client.containers.create(base, ["/none"])
    try:
        container.put_archive("/", tar(files))
        container.commit(*tag.split(":"))
    finally:
        container.remove()
    return tag


def tar(files: dict[str, bytes]) -> bytes:
    """A tar of files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def noise(megabytes: float, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(int(megabytes * MB))  # noqa: S311


def ssh_config(folder: Path, hosts: Iterable[Host]) -> Path:
    """An SSH configuration that names the hosts."""
    path = folder / "ssh_config"
    path.write_text(
        "".join(
            f"Host {host.name}\n  HostName {host.address}\n  Port {host.port}\n  User {host.user}\n"
            f"  IdentityFile {host.key}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {host.keys.known_hosts(host.name)}\n"
            for host in hosts
        )
    )
    return path


class Shipper:
    """scripts/ship_image.py with a store and SSH configuration of its own."""

    def __init__(self, folder: Path, hosts: Iterable[Host]) -> None:
        self.store = folder / "layers"
        self.config = ssh_config(folder, hosts)

    def command(self, name: str, *arguments: str) -> list[str]:
        return [
            sys.executable, str(SCRIPTS / name), *arguments,
            *(["--store", str(self.store)] if name != "copy_files.py" else []),
            *(["-F", str(self.config)] if name in ("ship_image.py", "copy_files.py") else []),
            "--json",
        ]  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin to ship; the caller waits or kills."""
        return subprocess.Popen(
            self.command("ship_image.py", *arguments), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ),
        )  # fmt: skip

    def __call__(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        """Ship, and return the result by host (or the whole one when it failed before that)."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=600)
        assert process.returncode == status, f"exit {process.returncode}\n{out}{err}"
        return self._by_host(out)

    def asked(self, answers: Iterable[str], *arguments: str, status: int = 0) -> dict[str, Any]:
        """As a call, at a terminal where passwords are asked for and typed."""
        child, terminal = pty.fork()
        command = self.command("ship_image.py", *arguments)
        if not child:
            os.execv(command[0], command)  # noqa: S606
        out, left = b"", list(answers)
        with contextlib.suppress(OSError):  # how a terminal says that it was closed
            while data := os.read(terminal, 1 << 16):
                out += data
                if left and out.rstrip().endswith(b":"):
                    os.write(terminal, f"{left.pop(0)}\n".encode())
                    out = b""
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(terminal)
        text = out.decode().replace("\r\n", "\n")
        assert code == status, f"exit {code}\n{text}"
        return self._by_host(text[text.index("{") :])

    @staticmethod
    def _by_host(out: str) -> dict[str, Any]:
        said: dict[str, Any] = json.JSONDecoder().raw_decode(out)[0]
        return {each["host"]: each for each in said["hosts"]} if "hosts" in said else said


def staged(host: Host) -> int:
    """Bytes that lie in the host's staging folder."""
    total = host.run(f"find {STAGING} -type f -printf '%s\\n' 2>/dev/null; true").stdout.split()
    return sum(int(size) for size in total)


def settled(host: Host) -> int:
    """:func:`staged`, once nothing on the host writes there any more: a killed run's bytes on
    their way have arrived, or been dropped."""
    writes = f"pgrep --full '^dd of={STAGING}/' >/dev/null"
    assert until(lambda: host.run(writes, check=False).returncode == 1, 60, every=0.2)
    return staged(host)


def store_size(store: Path, diff_ids: Iterable[str]) -> int:
    """Bytes of an image's compressed layers, each in the form gzip, which any engine takes."""
    forms = (json.loads((store / "layers" / f"{d[7:]}.json").read_text()) for d in set(diff_ids))
    return sum(form["gzip"]["size"] for form in forms)


def image_id(host: Host, tag: str) -> str:
    """The host's ID of an image, empty where it has none of that name."""
    done = host.run(f"docker image inspect --format '{{{{.Id}}}}' {tag}", check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def layers(host: Host | None, tag: str) -> list[str]:
    """The layers of an image on a host, or on this machine for None."""
    command = ["docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", tag]
    if host is None:
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    else:
        out = host.run(f"docker image inspect --format '{{{{json .RootFS.Layers}}}}' {tag}").stdout
    return list(json.loads(out))


def save_for_architecture(tag: str, architecture: str, path: Path) -> None:
    """``docker save``, with another architecture written into the image's configuration."""
    plain = path.with_suffix(".plain")
    subprocess.run(["docker", "save", "-o", str(plain), tag], check=True)
    with tarfile.open(plain) as old, tarfile.open(path, "w") as new:
        manifest = json.loads(_read(old, "manifest.json"))
        config = json.loads(_read(old, manifest[0]["Config"]))
        config["architecture"] = architecture
        data = json.dumps(config).encode()
        name = f"{hashlib.sha256(data).hexdigest()}.json"
        manifest[0]["Config"] = name
        for layer in manifest[0]["Layers"]:
            member = old.getmember(layer)
            new.addfile(member, old.extractfile(member))
        for file_name, text in ((name, data), ("manifest.json", json.dumps(manifest).encode())):
            info = tarfile.TarInfo(file_name)
            info.size = len(text)
            new.addfile(info, io.BytesIO(text))
    plain.unlink()


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    assert stream
    return stream.read()


def spoil(store: Path, diff_id: str) -> None:
    """Give a layer of the store other content whose sums fit, as no check on the way can see."""
    record = store / "layers" / f"{diff_id[7:]}.json"
    forms = json.loads(record.read_text())
    data = gzip.compress(b"not a layer at all" * 1000)
    digest = hashlib.sha256(data).hexdigest()
    for form in forms.values():
        form |= {"digest": f"sha256:{digest}", "size": len(data)}
    (store / "blobs" / digest).write_bytes(data)
    record.write_text(json.dumps(forms))
