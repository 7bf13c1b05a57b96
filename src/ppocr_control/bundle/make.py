"""Creates a bundle."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ppocr_contract import paddle

from ..errors import Refused
from ..images.context import BASE_SUITE, CONTENT_LABEL, revision
from ..layers import image_archive, saved_image
from ..layers.source import blobs_of, open_source
from ..layers.store import LayerStore
from ..progress import Progress
from . import incremental, manifest, packages, project, sbom


@dataclass(frozen=True)
class BundleOptions:
    """What a bundle should contain.

    Attributes:
        image: name in this machine's engine, or a saved image.
        tag: its name on hosts.
        output: the folder to create.
        releases: such as debian-bookworm.
        extra_packages: additional packages of every release.
        debs: additional package files, by release.
        python_versions: of control nodes.
        since: an earlier bundle (or its manifest), whose files are left out.
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


def make(options: BundleOptions, store: LayerStore, progress: Progress) -> dict[str, Any]:
    """Create a bundle in a new folder, atomically; return its manifest.

    Raises:
        Refused, Error: see the called functions.
    """
    if options.output.exists() and any(options.output.iterdir()):
        raise Refused(f"{options.output} exists and is not empty: choose a new folder")
    old = manifest.read(options.since) if options.since else None
    options.output.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{options.output.name}."
    folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=".part", dir=options.output.parent))
    folder.chmod(0o755)
    for name in ("image", "packages"):
        (folder / name).mkdir(parents=True)
    try:
        described = _fill(options, folder, store, progress)
        if old:
            described["since"] = incremental.leave_out(folder, described, old, store)
        _tidy(folder)
        manifest.write(folder, described, options.signing_key)
        if options.output.exists():
            options.output.rmdir()
        folder.rename(options.output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return described


def _tidy(folder: Path) -> None:
    """Remove empty folders, and write permissions of others, whatever this user's umask is."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        else:
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
    folder.chmod(0o755)


def _fill(
    options: BundleOptions, folder: Path, store: LayerStore, progress: Progress
) -> dict[str, Any]:
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name, version = image_archive.split_name(options.tag)
    components = []
    releases = {}
    for release in options.releases:
        path = f"packages/{release}.tar"
        debs = [Path(text) for text in options.debs.get(release, [])]
        fields = packages.fetch(
            release, folder / path, options.extra_packages, debs, options.apt_mirror, progress
        )
        components += [sbom.deb(each, release) for each in fields]
        releases[release] = {"path": path, "packages": len(fields)}
    project.copy_project(folder / "project")
    wheels = project.wheelhouse(
        folder / "wheelhouse", options.python_versions, options.pip_index_url, progress
    )
    components += [sbom.wheel(each) for each in wheels]
    with open_source(options.image) as source:
        path = f"image/{name.rpartition('/')[2]}-{version}.tar"
        saved_image.write_packed(source, [options.tag], folder / path, store, progress)
        image = source.image
    blobs = blobs_of(store, image, "gzip")
    progress.say("listing the packages in the image")
    components += sbom.image_components(image, blobs, store, f"debian-{BASE_SUITE}")
    document = sbom.document(name, version, image, components, created)
    (folder / "SBOM.cdx.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / "README.txt").write_text(README.format(image=path, tag=options.tag))
    return {
        "name": name,
        "version": version,
        "created": created,
        "architecture": image.architecture,
        "image": {
            "path": path, "tag": options.tag, "id": image.id,
            "content": image.labels.get(CONTENT_LABEL, image.id),
            "paddle": image.labels.get(paddle.LABEL, ""),
            "layers": incremental.layers(image, blobs),
        },
        "releases": releases,
        "project": {"path": "project", "revision": revision()},
        "python": list(options.python_versions),
        "since": None,
        "files": manifest.describe(folder, manifest.files_of(folder), progress),
    }  # fmt: skip


README = """\
{tag}: everything for a host without internet.

1. Verify it before anything in it runs, on the control node, in a folder that only you can write
   (chmod -R go-w,ug-s .). KEY.pub is the public signing key, which you got in another way:
     printf 'ppocr-bundle %s\\n' "$(cat KEY.pub)" > KEY.signers
     ssh-keygen -Y verify -f KEY.signers -I ppocr-bundle -n ppocr-bundle \\
       -s SHA256SUMS.sig < SHA256SUMS &&
     sha256sum --check --strict --quiet SHA256SUMS &&
     find . -printf '%y %p\\n' | LC_ALL=C sort | diff FILES - && echo proved
   Keep KEY.pub and KEY.signers outside this folder. For a bundle that is not signed, the last two
   lines find damage in transit; they cannot tell who made it.
2. Deploy (the control node's Python packages come from wheelhouse/):
     project/scripts/deploy -i hosts.yml -e ppocr_bundle_dir="$PWD"

By hand, on a host with Docker:
     docker load --input {image}
packages/*.tar are local package repositories: unpack one and add the line
     deb [trusted=yes] file:/where/it/is ./
"""
