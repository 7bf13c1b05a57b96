"""Making a bundle."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import Refused
from ..images.context import BASE_SUITE, revision
from ..layers import image_archive, saved_image
from ..layers.source import blobs_of, open_source
from ..layers.store import LayerStore
from ..progress import Progress
from . import incremental, manifest, packages, project, sbom

CONTENT_LABEL = "org.ppocr.content"


@dataclass(frozen=True)
class Order:
    """What a bundle is to hold.

    Attributes:
        image: name in this machine's engine, or a saved image.
        tag: the name it gets on hosts.
        output: the folder to make.
        releases: such as debian-bookworm.
        extra_packages: further packages of every release.
        debs: package files of your own, by release.
        python_versions: of control nodes.
        since: a bundle (or its manifest) that is there already; what it holds is left out.
        signing_key: SSH private key.
    """

    image: str
    tag: str
    output: Path
    releases: Sequence[str] = ("debian-bookworm", "debian-trixie")
    extra_packages: Sequence[str] = ()
    debs: dict[str, list[str]] = field(default_factory=dict)
    python_versions: Sequence[str] = ("3.11",)
    apt_mirror: str = ""
    pip_index_url: str = ""
    since: Path | None = None
    signing_key: Path | None = None


def make(order: Order, store: LayerStore, progress: Progress) -> dict[str, Any]:
    """Make a bundle in a new folder, which appears whole or not at all; returns its manifest.

    Raises:
        Refused, Error: see the parts.
    """
    if order.output.exists() and any(order.output.iterdir()):
        raise Refused(f"{order.output} is there and not empty: name a new folder")
    old = manifest.read(order.since) if order.since else None
    order.output.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{order.output.name}."
    folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=".part", dir=order.output.parent))
    folder.chmod(0o755)
    for name in ("image", "packages"):
        (folder / name).mkdir(parents=True)
    try:
        described = _fill(order, folder, store, progress)
        if old:
            described["since"] = incremental.leave_out(folder, described, old, store)
        _tidy(folder)
        manifest.write(folder, described, order.signing_key)
        if order.output.exists():
            order.output.rmdir()
        folder.rename(order.output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return described


def _tidy(folder: Path) -> None:
    """Leave no empty folder, and nothing that others may write whatever this user's umask is."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        else:
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
    folder.chmod(0o755)


def _fill(order: Order, folder: Path, store: LayerStore, progress: Progress) -> dict[str, Any]:
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name, version = image_archive.split_name(order.tag)
    components = []
    releases = {}
    for release in order.releases:
        path = f"packages/{release}.tar"
        debs = [Path(text) for text in order.debs.get(release, [])]
        fields = packages.fetch(
            release, folder / path, order.extra_packages, debs, order.apt_mirror, progress
        )
        components += [sbom.deb(each, release) for each in fields]
        releases[release] = {"path": path, "packages": len(fields)}
    project.copy_project(folder / "project")
    wheels = project.wheelhouse(
        folder / "wheelhouse", order.python_versions, order.pip_index_url, progress
    )
    components += [sbom.wheel(each) for each in wheels]
    with open_source(order.image) as source:
        path = f"image/{name.rpartition('/')[2]}-{version}.tar"
        saved_image.write_packed(source, [order.tag], folder / path, store, progress)
        image = source.image
    blobs = blobs_of(store, image, "gzip")
    progress.say("reading what is inside the image")
    components += sbom.image_components(image, blobs, store, f"debian-{BASE_SUITE}")
    document = sbom.document(name, version, image, components, created)
    (folder / "SBOM.cdx.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / "README.txt").write_text(README.format(image=path, tag=order.tag))
    return {
        "name": name,
        "version": version,
        "created": created,
        "architecture": image.architecture,
        "image": {
            "path": path, "tag": order.tag, "id": image.id,
            "content": image.labels.get(CONTENT_LABEL, image.id),
            "layers": incremental.layers(image, blobs),
        },
        "releases": releases,
        "project": {"path": "project", "revision": revision()},
        "python": list(order.python_versions),
        "since": None,
        "files": manifest.describe(folder, manifest.files_of(folder), progress),
    }  # fmt: skip


README = """\
{tag}: everything for a host without internet.

1. Prove it before anything of it runs, on the control node, in a folder that you alone can write
   (chmod -R go-w,ug-s .). KEY.pub is the public half of the signing key, come another way:
     printf 'ppocr-bundle %s\\n' "$(cat KEY.pub)" > KEY.signers
     ssh-keygen -Y verify -f KEY.signers -I ppocr-bundle -n ppocr-bundle \\
       -s SHA256SUMS.sig < SHA256SUMS &&
     sha256sum --check --strict --quiet SHA256SUMS &&
     find . -printf '%y %p\\n' | LC_ALL=C sort | diff FILES - && echo proved
   Keep KEY.pub and KEY.signers outside this folder. For a bundle that is not signed, the last two
   lines find what happened to it on the way; who made it they cannot say.
2. Deploy (the control node's Python packages come from wheelhouse/):
     project/scripts/deploy -i hosts.yml -e ppocr_bundle_dir="$PWD"

By hand, on a host with Docker:
     docker load --input {image}
packages/*.tar are local package repositories: unpack one and add the line
     deb [trusted=yes] file:/where/it/is ./
"""
