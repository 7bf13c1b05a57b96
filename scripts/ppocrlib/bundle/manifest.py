"""A bundle's manifest: written, signed, and checked."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..outcome import Refused, Trouble
from ..progress import Progress

NAME = "MANIFEST.json"
SIGNATURE = f"{NAME}.sig"
FORMAT = 1
_NAMESPACE = "ppocr-bundle"
_SIGNER = "ppocr-bundle"
_THREADS = 4


def _digest(path: Path, progress: Progress, part: str) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
            progress.add(part, len(block))
    return digest.hexdigest(), size


def files_of(folder: Path) -> list[str]:
    """Every file of a bundle but the manifest and its signature, sorted."""
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in found if name not in (NAME, SIGNATURE))


def describe(folder: Path, names: Iterable[str], progress: Progress) -> dict[str, dict[str, Any]]:
    """sha256 and size of files, by their path in the bundle."""
    names = list(names)
    progress.start("files", sum((folder / name).stat().st_size for name in names))
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda name: _digest(folder / name, progress, "files"), names)
        return {
            name: {"sha256": digest, "size": size}
            for name, (digest, size) in zip(names, found, strict=True)
        }


def write(folder: Path, manifest: dict[str, Any]) -> Path:
    """Write the manifest; the same content gives the same bytes."""
    path = folder / NAME
    path.write_text(json.dumps({"format": FORMAT, **manifest}, indent=1, sort_keys=True) + "\n")
    return path


def read(folder: Path) -> dict[str, Any]:
    """Read a bundle's manifest (or one on its own). Raises Refused."""
    path = folder / NAME if folder.is_dir() else folder
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise Refused(f"{folder} is no bundle: it has no {NAME}") from error
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be read: {error}") from error
    if manifest.get("format") != FORMAT:
        raise Refused(
            f"{path} has format {manifest.get('format')!r}, this project reads {FORMAT}: use the "
            "project inside the bundle"
        )
    return manifest


def sign(folder: Path, key: Path) -> None:
    """Sign the manifest with an SSH private key (one in the agent is named by its public half).

    Raises:
        Trouble: ssh-keygen could not sign.
    """
    (folder / SIGNATURE).unlink(missing_ok=True)
    command = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", _NAMESPACE]
    command.append(str(folder / NAME))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f"ssh-keygen could not sign with {key}: {done.stderr.strip()}")


def check_signature(folder: Path, public_key: Path) -> None:
    """Check that the holder of a key signed the manifest.

    Args:
        public_key: an SSH public key as ssh-keygen writes it.

    Raises:
        Refused: no signature, or not of this key and this manifest.
    """
    signature = folder / SIGNATURE
    if not signature.is_file():
        raise Refused(f"{folder} is not signed, and a public key was given to check it with")
    try:
        key = " ".join(public_key.read_text().split()[:2])
    except OSError as error:
        raise Refused(f"the public key cannot be read: {error}") from error
    with tempfile.NamedTemporaryFile("w", suffix=".signers") as signers:
        signers.write(f'{_SIGNER} namespaces="{_NAMESPACE}" {key}\n')
        signers.flush()
        command = [
            "ssh-keygen", "-Y", "verify", "-q", "-f", signers.name, "-I", _SIGNER,
            "-n", _NAMESPACE, "-s", str(signature),
        ]  # fmt: skip
        with (folder / NAME).open("rb") as manifest:
            done = subprocess.run(
                command, stdin=manifest, capture_output=True, text=True, check=False
            )
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines()
        raise Refused(
            f"the signature of {folder / NAME} does not fit the key {public_key}: the bundle was "
            f"altered, or somebody else signed it ({said[-1] if said else 'no word why'})"
        )


def is_incremental(folder: Path, manifest: dict[str, Any]) -> bool:
    """Whether a bundle needs an earlier one still. Put together, it keeps its signed manifest."""
    absent = (manifest.get("since") or {}).get("absent", [])
    return not all((folder / name).is_file() for name in absent)


def problems(folder: Path, manifest: dict[str, Any], progress: Progress) -> list[str]:
    """What is missing or altered, one phrase a file."""
    wanted: dict[str, dict[str, Any]] = manifest["files"]
    since = manifest.get("since") or {}
    partial = is_incremental(folder, manifest)
    absent = set(since.get("absent", []) if partial else [since.get("image_delta")])
    there = [name for name in wanted if (folder / name).is_file()]
    found = describe(folder, there, progress)
    told = [f"{name} is missing" for name in wanted if name not in found and name not in absent]
    for name, entry in found.items():
        if entry["size"] != wanted[name]["size"]:
            told.append(f"{name} has {entry['size']} bytes, not {wanted[name]['size']}: truncated?")
        elif entry["sha256"] != wanted[name]["sha256"]:
            told.append(f"{name} was altered (sha256 {entry['sha256'][:12]})")
    return told


def strangers(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """Files the manifest does not know; what the project makes in its own folder is left out."""
    known = set(manifest["files"])
    return [n for n in files_of(folder) if n not in known and not n.startswith("project/")]
