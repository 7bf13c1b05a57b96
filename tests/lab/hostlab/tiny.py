"""An image for tests that need a container but no registry: the host's own Python, nothing else."""

from __future__ import annotations

from .host import Host

TAG = "tiny:lab"
# Python, its standard library and the shared libraries it loads, links followed.
MAKE = r"""
set -eu
python=$(readlink -f /usr/bin/python3)
libraries=$(ldd "$python" | grep -o '/[^ ]*')
tar --create --file=- --dereference --directory=/ --exclude=test --exclude=__pycache__ \
    --transform='s,^usr/bin/python3$,usr/bin/python,' \
    usr/bin/python3 "usr/lib/$(basename "$python")" $(echo "$libraries" | sed 's,^/,,') |
  docker import --change 'ENTRYPOINT ["/usr/bin/python"]' - "$1"
"""


def make(host: Host, tag: str = TAG) -> str:
    """Import the image into the host's engine and return its tag. Its entry point is Python."""
    host.run(f"set -- {tag}\n{MAKE}")
    return tag


def serve(host: Host, port: int, name: str = "tiny") -> None:
    """Run a container that answers HTTP on a published port of the host, and wait until it does."""
    image = make(host)
    host.run(f"docker run -d --name {name} -p {port}:8000 --memory 64m {image} -m http.server 8000")
    get = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{port}/', timeout=5)"
    host.wait_for(f'python3 -c "{get}"', timeout=30)
