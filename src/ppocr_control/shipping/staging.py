"""The folder on a host where layers wait: what is removed there was made here, and nothing else.

Layers lie in <own folder>/<image>/<sha256> (a relay's in <own folder>/relay/<image>/<sha256>), and
<image> holds a mark besides. The own folder lies below the folder that was named, which may hold
anything. Only layers, marks and folders that are empty then are removed; no link is followed.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection

from ..errors import Refused
from ..layers.image_archive import Image
from ..layers.store import hexdigest
from ..ssh.transport import Transport

#: The default for root, and the end of everybody else's: folders that are the project's already.
ROOTS, USERS = "/var/lib/ppocr/staging", "/.cache/ppocr/staging"
NAME = "ppocr-staging"
MARK = ".made-by-ppocr"
#: Where a relay keeps what it serves, below the own folder.
RELAY = "relay"
_REFUSED = 8

_FUNCTIONS = r"""
set -e
umask 077
layer='.*/([0-9a-f]{64}|pid)'
refuse() { echo "$1" >&2; exit 8; }
own() { [ -d "$1" ] && [ ! -L "$1" ] && [ "$(stat -c %u -- "$1")" = "$(id -u)" ]; }
# An image's folder: marked or, as versions before the mark left it, with nothing but layers.
made() {
  own "$1" || return 1
  printf %s "${1##*/}" | grep -qxE '[0-9a-f]{16}' || return 1
  if [ -f "$1/@MARK@" ] && [ ! -L "$1/@MARK@" ]; then return 0; fi
  [ -z "$(find "$1" -mindepth 1 -regextype posix-extended \
    ! \( -type f -regex "$layer" \) -print -quit)" ]
}
drop() { # the layers in a folder, but those whose names follow
  from=$1; shift
  find "$from" -mindepth 1 -maxdepth 1 -regextype posix-extended \
    -type f -regex "$layer" "$@" -delete
}
# The mark goes last, so that what is cut in the middle leaves a folder that is known.
empty() {
  made "$1" || return 0
  drop "$1"
  [ "$(ls -A -- "$1")" != @MARK@ ] || rm -f -- "$1/@MARK@"
  rmdir -- "$1" 2>/dev/null || :
}
""".replace("@MARK@", MARK)
_OPEN = r"""
for folder in "$base" "$above"; do
  [ -L "$folder" ] || mkdir -p -- "$folder"
  own "$folder" || refuse "$folder is a link, or belongs to somebody else"
done
[ -L "$mine" ] || mkdir -p -- "$mine" || mkdir -p -- "$mine" # another run removes an empty folder
made "$mine" || refuse "$mine holds what this project did not put there"
[ -f "$mine/@MARK@" ] || echo 'layers on their way; may be removed' >"$mine/@MARK@"
touch -- "$mine"
""".replace("@MARK@", MARK)
# What an earlier failure left, unless somebody else's shipment is still at it.
_SWEEP = r"""
for folder in "$base"/* "$base/@RELAY@"/*; do
  own "${folder%/*}" || continue
  [ "$folder" != "$mine" ] || continue
  [ -z "$(find "$folder" -maxdepth 1 -mmin -60 -print -quit 2>/dev/null)" ] || continue
  empty "$folder"
done
""".replace("@RELAY@", RELAY)
_REMOVE = r"""
empty "$mine"
for folder in "$above" "$base"; do
  if own "$folder"; then rmdir -- "$folder" 2>/dev/null || :; fi
done
"""


def base(named: str) -> str:
    """The project's own folder for a folder somebody named.

    Raises:
        Refused: no folder is named.
    """
    named = named.strip()
    if not named:
        raise Refused("no folder for layers on their way (ppocr_image_staging_dir, --staging)")
    if named == ROOTS or named.endswith(USERS):
        return named
    return f"{named.rstrip('/')}/{NAME}"


def folder(named: str, image: Image, part: str = "") -> str:
    """Where the layers of an image lie; ``part`` is RELAY for what a relay serves to others."""
    above = f"{base(named)}/{part}" if part else base(named)
    return f"{above}/{hexdigest(image.id)[:16]}"


def make(
    host: Transport,
    named: str,
    image: Image,
    part: str = "",
    keep: Collection[str] | None = None,
) -> None:
    """Make the folder of an image on a host, and remove what earlier failures left.

    Args:
        keep: names of layers; others in the folder are removed. None leaves what is there.

    Raises:
        Refused: something is in its place that is not the project's.
    """
    lines = [_variables(named, image, part), _FUNCTIONS, _OPEN]
    if keep is not None:
        lines.append(f'drop "$mine" {" ".join(f"! -name {shlex.quote(name)}" for name in keep)}')
    said = host.run("\n".join([*lines, _SWEEP]))
    if said.status == _REFUSED:
        raise Refused(
            f"{host.name}: {said.err.strip()}. Nothing was sent and nothing removed there: move it "
            "away, or name another folder (ppocr_image_staging_dir, --staging)"
        )
    said.checked(f"{host.name}: making {folder(named, image, part)}")


def opening(named: str, image: Image) -> str:
    """Shell that makes the folder of an image and leaves what is in it; ends with status 8."""
    return "\n".join([_variables(named, image, ""), _FUNCTIONS, _OPEN])


def removal(named: str, image: Image, part: str = "") -> str:
    """Shell that removes the layers of an image, and the folders that are empty then."""
    return "\n".join([_variables(named, image, part), _FUNCTIONS, _REMOVE])


def _variables(named: str, image: Image, part: str) -> str:
    mine = folder(named, image, part)
    return (
        f"base={shlex.quote(base(named))} above={shlex.quote(mine.rpartition('/')[0])} "
        f"mine={shlex.quote(mine)}"
    )
