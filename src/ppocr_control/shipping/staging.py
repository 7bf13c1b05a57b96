"""The staging folder of a host. Nothing is removed in it that this module did not create.

Layers are stored as <project folder>/<image>/<sha256> (for a relay: <project folder>/relay/<image>/
<sha256>), and <image> also contains a marker file. The project folder lies below the configured
folder, which may contain anything. Only layers, markers and folders that are then empty are
removed; links are not followed.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection

from ..errors import Refused
from ..layers.image_archive import Image
from ..layers.store import hexdigest
from ..ssh.transport import Transport

#: The default for root, and how other users' defaults end: folders that belong to the project.
ROOTS, USERS = "/var/lib/ppocr/staging", "/.cache/ppocr/staging"
NAME = "ppocr-staging"
MARK = ".made-by-ppocr"
#: Where a relay keeps the layers it serves, below the project folder.
RELAY = "relay"
_REFUSED = 8

_FUNCTIONS = r"""
set -e
umask 077
layer='.*/([0-9a-f]{64}|pid)'
refuse() { echo "$1" >&2; exit 8; }
is_own() { [ -d "$1" ] && [ ! -L "$1" ] && [ "$(stat -c %u -- "$1")" = "$(id -u)" ]; }
# An image's folder: marked or, as versions without the marker left it, with nothing but layers.
is_staging() {
  is_own "$1" || return 1
  printf %s "${1##*/}" | grep -qxE '[0-9a-f]{16}' || return 1
  if [ -f "$1/@MARK@" ] && [ ! -L "$1/@MARK@" ]; then return 0; fi
  [ -z "$(find "$1" -mindepth 1 -regextype posix-extended \
    ! \( -type f -regex "$layer" \) -print -quit)" ]
}
remove_layers() { # of a folder, except those whose names follow
  from=$1; shift
  find "$from" -mindepth 1 -maxdepth 1 -regextype posix-extended \
    -type f -regex "$layer" "$@" -delete
}
# The marker goes last, so that an interrupted removal leaves a folder that is recognised.
remove_staging() {
  is_staging "$1" || return 0
  remove_layers "$1"
  [ "$(ls -A -- "$1")" != @MARK@ ] || rm -f -- "$1/@MARK@"
  rmdir -- "$1" 2>/dev/null || :
}
""".replace("@MARK@", MARK)
_OPEN = r"""
for folder in "$base" "$parent"; do
  [ -L "$folder" ] || mkdir -p -- "$folder"
  is_own "$folder" || refuse "$folder is a link, or belongs to another user"
done
# Twice, because another run may remove the empty folder above in between.
[ -L "$target" ] || mkdir -p -- "$target" || mkdir -p -- "$target"
is_staging "$target" || refuse "$target contains files that this project did not put there"
[ -f "$target/@MARK@" ] || echo 'layers being sent; may be removed' >"$target/@MARK@"
touch -- "$target"
""".replace("@MARK@", MARK)
# Removes what earlier failures left, unless another run still uses it.
_SWEEP = r"""
for folder in "$base"/* "$base/@RELAY@"/*; do
  is_own "${folder%/*}" || continue
  [ "$folder" != "$target" ] || continue
  [ -z "$(find "$folder" -maxdepth 1 -mmin -60 -print -quit 2>/dev/null)" ] || continue
  remove_staging "$folder"
done
""".replace("@RELAY@", RELAY)
_REMOVE = r"""
remove_staging "$target"
for folder in "$parent" "$base"; do
  if is_own "$folder"; then rmdir -- "$folder" 2>/dev/null || :; fi
done
"""


def base(configured: str) -> str:
    """Return the project folder for the configured staging folder.

    Raises:
        Refused: no folder is configured.
    """
    configured = configured.strip()
    if not configured:
        raise Refused("no staging folder is set (ppocr_image_staging_dir, --staging)")
    if configured == ROOTS or configured.endswith(USERS):
        return configured
    return f"{configured.rstrip('/')}/{NAME}"


def folder(configured: str, image: Image, part: str = "") -> str:
    """Return the folder of an image's layers; ``part`` is RELAY for those a relay serves."""
    parent = f"{base(configured)}/{part}" if part else base(configured)
    return f"{parent}/{hexdigest(image.id)[:16]}"


def create(
    host: Transport,
    configured: str,
    image: Image,
    part: str = "",
    keep: Collection[str] | None = None,
) -> None:
    """Create the folder of an image on a host, and remove what earlier failures left.

    Args:
        keep: names of layers; others in the folder are removed. None removes nothing.

    Raises:
        Refused: the folder exists and does not belong to the project.
    """
    lines = [_variables(configured, image, part), _FUNCTIONS, _OPEN]
    if keep is not None:
        lines.append(
            f'remove_layers "$target" {" ".join(f"! -name {shlex.quote(name)}" for name in keep)}'
        )
    answer = host.run("\n".join([*lines, _SWEEP]))
    if answer.status == _REFUSED:
        raise Refused(
            f"{host.name}: {answer.err.strip()}. Nothing was sent or removed: move that folder "
            "away, or choose another (ppocr_image_staging_dir, --staging)"
        )
    answer.checked(f"{host.name}: creating {folder(configured, image, part)}")


def opening(configured: str, image: Image) -> str:
    """Return shell code that creates the folder of an image; exits with 8 if that is refused."""
    return "\n".join([_variables(configured, image, ""), _FUNCTIONS, _OPEN])


def removal(configured: str, image: Image, part: str = "") -> str:
    """Return shell code that removes the layers of an image, and folders that are then empty."""
    return "\n".join([_variables(configured, image, part), _FUNCTIONS, _REMOVE])


def _variables(configured: str, image: Image, part: str) -> str:
    target = folder(configured, image, part)
    return (
        f"base={shlex.quote(base(configured))} parent={shlex.quote(target.rpartition('/')[0])} "
        f"target={shlex.quote(target)}"
    )
