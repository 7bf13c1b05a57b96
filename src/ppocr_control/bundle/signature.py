"""Signs a bundle's manifest and digests, and verifies signatures, with ssh-keygen."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ..errors import Error, Refused
from .lists import MANIFEST, SUMS, signature_of
from .tree import opened

#: The namespace of the signatures, and the signer's name during verification.
SIGNER = "ppocr-bundle"
_KEYS = ("ssh-", "ecdsa-", "sk-")
_MAX_KEY = 1 << 16


def _keygen(
    arguments: list[str], stdin: IO[bytes] | None = None, pass_fds: Sequence[int] = ()
) -> subprocess.CompletedProcess[str]:
    command = ["ssh-keygen", "-Y", *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False,
            stdin=stdin, pass_fds=pass_fds,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise Error("signatures need ssh-keygen: install openssh-client") from error


def sign(path: Path, key: Path) -> None:
    """Sign a file with an SSH private key (for a key in the agent: its public key).

    Raises:
        Error: ssh-keygen could not sign.
    """
    path.with_name(signature_of(path.name)).unlink(missing_ok=True)
    done = _keygen(["sign", "-q", "-f", str(key), "-n", SIGNER, str(path)])
    if done.returncode:
        raise Error(f"ssh-keygen could not sign with {key}: {done.stderr.strip()}")


def check(folder: Path, public_key: Path) -> None:
    """Verify that the owner of a key signed a bundle's manifest and digests.

    Args:
        public_key: an SSH public key as ssh-keygen writes it.

    Raises:
        Refused: the signature is missing, or not of this key and bundle.
    """
    key = _key(public_key)
    for name in (MANIFEST, SUMS):
        if not (folder / signature_of(name)).exists():
            raise Refused(
                f"{folder} is not signed ({signature_of(name)} is missing), and a public key was "
                "given to check it with"
            )
        with tempfile.NamedTemporaryFile("w", suffix=".signers") as signers:
            signers.write(f'{SIGNER} namespaces="{SIGNER}" {key}\n')
            signers.flush()
            _check_one(folder, name, signers.name, public_key)


def _check_one(folder: Path, name: str, signers: str, public_key: Path) -> None:
    with opened(folder, name) as signed, opened(folder, signature_of(name)) as signature:
        handle = signature.fileno()
        done = _keygen(
            ["verify", "-q", "-f", signers, "-I", SIGNER, "-n", SIGNER,
             "-s", f"/proc/self/fd/{handle}"],
            stdin=signed, pass_fds=(handle,),
        )  # fmt: skip
    if done.returncode:
        output = (done.stderr + done.stdout).strip().splitlines()
        raise Refused(
            f"the signature of {folder / name} does not fit the key {public_key}: the bundle was "
            f"altered, or signed by someone else ({output[-1] if output else 'no reason given'})"
        )


def _key(public_key: Path) -> str:
    try:
        with public_key.open("rb") as file:
            parts = file.read(_MAX_KEY).decode(errors="replace").split()[:2]
    except OSError as error:
        raise Refused(f"the public key {public_key} cannot be read: {error.strerror}") from error
    if len(parts) != 2 or not parts[0].startswith(_KEYS):
        raise Refused(f"{public_key} is not an SSH public key as ssh-keygen writes to NAME.pub")
    return " ".join(parts)
