"""A certificate for a test's server, signed by an authority of the test's own."""

import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificate(NamedTuple):
    """PEM files."""

    authority: Path
    certificate: Path
    key: Path


def issue(folder: Path, address: str) -> Certificate:
    """Make an authority named after ``folder``, in it, and a certificate for an IP address."""
    made = Certificate(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    names = folder / "names"
    names.write_text(f"subjectAltName=IP:{address}\n")
    new = ["-newkey", "rsa:2048", "-nodes"]
    authority_key, request = str(folder / "ca.key"), str(folder / "request.pem")
    for command in (
        ["req", "-x509", *new, "-days", "2", "-subj", f"/CN=Authority of {folder.name}",
         "-keyout", authority_key, "-out", str(made.authority)],
        ["req", *new, "-subj", "/CN=ocr", "-keyout", str(made.key), "-out", request],
        ["x509", "-req", "-in", request, "-CA", str(made.authority), "-CAkey", authority_key,
         "-CAcreateserial", "-days", "2", "-extfile", str(names), "-out", str(made.certificate)],
    ):  # fmt: skip
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return made
