"""Small bundles, signed and checked as by an operator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from ppocr_control.bundle import manifest
from ppocr_control.progress import Progress

VERIFY = Path(__file__).parents[2] / "scripts/verify_bundle.py"
ZEROS = "0" * 64
HELD = {
    "image/ppocr-1.tar": "image",
    "packages/debian-bookworm.tar": "packages",
    "project/scripts/deploy": "#!/bin/sh\n",
    "project/README with blanks.md": "text",
    "wheelhouse/a-1-py3-none-any.whl": "wheel",
}


def described(**changes: Any) -> dict[str, Any]:
    """What a manifest says, without its files."""
    image = {"path": "image/ppocr-1.tar", "tag": "ppocr:1", "id": f"sha256:{ZEROS}"}
    return {
        "name": "ppocr", "version": "1", "created": "2026-01-01T00:00:00Z", "architecture": "amd64",
        "image": {**image, "content": "c", "layers": []},
        "releases": {"debian-bookworm": {"path": "packages/debian-bookworm.tar", "packages": 1}},
        "since": None, **changes,
    }  # fmt: skip


def new_key(folder: Path) -> Path:
    """An SSH key to sign with; its public half lies beside it."""
    path = folder / "release"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def signed(folder: Path, key: Path) -> Path:
    """A signed bundle."""
    for name, text in HELD.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    files = manifest.describe(folder, manifest.files_of(folder), Progress("", quiet=True))
    manifest.write(folder, {**described(), "files": files}, key)
    return folder


def verify(folder: Path, key: Path | None, *more: str, **options: Any) -> tuple[int, str]:
    """Exit status of verify_bundle.py, and what it said."""
    signed = ["--public-key", f"{key}.pub"] if key else []
    command = [sys.executable, "-IB", str(VERIFY), str(folder), "--quiet", *signed, *more]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, **options
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr
