"""Run inside a new host root: trust the certificates of a bundle that the root lacks."""

import re
import subprocess
import sys
from pathlib import Path

PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


def bodies(bundle: str) -> list[str]:
    return ["".join(body.split()) for body in PEM.findall(Path(bundle).read_text())]


known = set(bodies("/etc/ssl/certs/ca-certificates.crt"))
folder = Path("/usr/local/share/ca-certificates")
folder.mkdir(parents=True, exist_ok=True)
for number, body in enumerate(dict.fromkeys(bodies(sys.argv[1]))):
    if body not in known:
        lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
        (folder / f"machine-{number:03d}.crt").write_text(
            f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"
        )
subprocess.run(["update-ca-certificates"], check=True)
