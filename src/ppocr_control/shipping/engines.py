"""Commands for hosts' engines, as shell code: Docker's, or containerd without Docker.

Both take the same archive, without the layers they have (image_archive).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Protocol

from ..errors import Refused
from ..images import image_name

#: Exit status of looking at an engine if the docker command is Podman's.
_PODMAN = 8
_REPORT = r"""
report() { printf '%s\t%s\n' "$1" "$2"; }
"""


class Engine(Protocol):
    """The engine of a host.

    Attributes:
        name: what loads an archive, for messages.
        inspect: shell functions, among them ``inspect``: reads IDs, and reports those images.
        look: shell code that reports version, info, images and content, and sets ``root`` to the
            folder of its images; other than 0 if no engine answers.
        load: the command that loads an archive from its standard input.
    """

    name: str
    inspect: str
    look: str
    load: str

    def refusal(self, status: int, words: str) -> str:
        """Return why an engine whose look ended so cannot be used, with the remedy."""

    def tag(self, found: str, name: str) -> str:
        """Return the command that gives an image of the host another name."""

    def forget(self, image_ids: Iterable[str]) -> str:
        """Return the command that removes images that have no name."""


class Docker:
    """Docker, by its command."""

    name = load = "docker load"
    # Each docker command costs a small host a tenth of a second, so there are few.
    inspect = (
        _REPORT
        + r"""
inspect() {
  format='{"id":{{json .Id}},"layers":{{json .RootFS.Layers}},"tags":{{json .RepoTags}},'
  format=$format'"created":{{json .Created}},"labels":{{json .Config.Labels}}}'
  xargs -r docker image inspect --format "$format" 2>/dev/null |
    while IFS= read -r line; do report image "$line"; done
}
"""
    )
    look = r"""
command -v docker >/dev/null 2>&1 || { echo "the docker command is missing" >&2; exit 9; }
# Warnings, such as of a damaged config.json, go to standard error and are ignored.
info=$(docker info --format '{{.ServerVersion}} {{.DockerRootDir}} {{json .}}')
case $info in [0-9]*' /'*) ;; *)
  case $(docker --version 2>/dev/null) in *[Pp]odman*) exit @PODMAN@ ;; esac
  exit 9 ;;
esac
version=${info%% *} info=${info#* }
root=${info%% *} info=${info#* }
report version "$version"
report info "$info"
docker image ls --all --quiet --no-trunc | sort -u | inspect
case $info in *io.containerd.snapshotter*)
  for socket in /run/containerd/containerd.sock /var/run/docker/containerd/containerd.sock; do
    [ -S "$socket" ] && command -v ctr >/dev/null 2>&1 &&
      ctr --address "$socket" --namespace moby content ls --quiet 2>/dev/null |
        while IFS= read -r line; do report content "$line"; done
  done
esac
""".replace("@PODMAN@", str(_PODMAN))

    def refusal(self, status: int, words: str) -> str:
        if status == _PODMAN:
            return (
                "its docker command is Podman's, which cannot load partial images: remove "
                "podman-docker, and install Docker (playbooks/deploy.yml --tags docker_engine)"
            )
        return (
            f"no Docker engine answers ({words}). Install one with playbooks/deploy.yml --tags "
            "docker_engine, or start it. A node of Kubernetes without Docker takes images by "
            "containerd's ctr command: ppocr_image_ctr (--ctr)"
        )

    def tag(self, found: str, name: str) -> str:
        return f"docker tag {found} {shlex.quote(name)}"

    def forget(self, image_ids: Iterable[str]) -> str:
        return f"docker image rm {' '.join(image_ids)} >/dev/null 2>&1"


class Containerd:
    """containerd, by its ctr command: as Kubernetes keeps images, in a namespace of its own.

    An image is imported under a name of this project's, which goes once it has its own.

    Raises:
        Refused: the command cannot be split into words.
    """

    #: The beginning of that name; the digest of the manifest follows.
    _IMPORTED = "ppocr.import"

    def __init__(self, ctr: str) -> None:
        self.name = f"{ctr} images import"
        try:
            self._ctr = shlex.join(shlex.split(ctr))
        except ValueError as error:
            raise Refused(f"ppocr_image_ctr (--ctr) is {ctr!r}, no command: {error}") from error
        # An image counts once all of it is there and unpacked (check --quiet asks for the first
        # alone). Those for several platforms were pulled, and are not asked for what they are.
        self.inspect = (
            _REPORT
            + r"""
in_containerd() { @CTR@ "$@"; }
inspect() {
  wanted=" $(tr '\n' ' ') "
  in_containerd images check | while read -r ref type digest state rest; do
    case "$type $state $rest" in
      *.image.manifest.*' complete '*' true'|*.distribution.manifest.v2*' complete '*' true') ;;
      *) continue ;;
    esac
    id=$(in_containerd content get "$digest" | tr -d ' \t\r\n' |
      sed -n 's/.*"config":{[^}]*"digest":"\(sha256:[0-9a-f]*\)".*/\1/p')
    case $wanted in '  '|*" $id "*|*" $digest "*) ;; *) continue ;; esac
    config=$(in_containerd content get "$id" | tr -d '\t\r\n')
    [ -n "$config" ] || continue
    report image "{\"id\":\"$digest\",\"config_id\":\"$id\",\"ref\":\"$ref\",\"config\":$config}"
  done
}
""".replace("@CTR@", self._ctr)
        )
        self.look = r"""
version=$(in_containerd version | sed -n '/^Server/,$s/.*Version: *v\{0,1\}//p' | head -n 1)
[ -n "$version" ] || exit 9
report version "$version"
report info "{\"Architecture\":\"$(uname -m)\",\"DriverStatus\":[[\"store\",\"containerd\"]]}"
inspect </dev/null
in_containerd content ls --quiet | while IFS= read -r line; do report content "$line"; done
root=$(in_containerd plugins ls --detailed id==content | sed -n 's/^ *root *//p' | tr -d ' ')
"""
        # The way of all versions; newer ones would hand it to containerd's transfer service.
        self.load = (
            "in_containerd images import $(in_containerd images import --help | "
            f"grep -o -e '--local' | head -n 1) --digests --base-name {self._IMPORTED} -"
        )

    def refusal(self, status: int, words: str) -> str:
        return (
            f"containerd does not answer to {self._ctr} ({words}). Correct ppocr_image_ctr "
            "(--ctr), for example k3s ctr --namespace k8s.io"
        )

    def tag(self, found: str, name: str) -> str:
        imported = f"{self._IMPORTED}@{found}"
        return (
            f"{self.inspect}\n"
            f"one=$(in_containerd images ls --quiet target.digest=={found} | head -n 1)\n"
            f'in_containerd images tag --force "$one" {shlex.quote(full_name(name))} || exit 1\n'
            f"in_containerd images rm {imported} >/dev/null 2>&1 || :\n"
        )

    def forget(self, image_ids: Iterable[str]) -> str:
        # Kubernetes' part of containerd names an image by its configuration, too.
        names = " ".join(f"{self._IMPORTED}@{each} {each}" for each in image_ids)
        return f"{self.inspect}\nin_containerd images rm {names} >/dev/null 2>&1"


def full_name(name: str) -> str:
    """Return the name of an image as containerd keeps it: ``docker.io/library/ppocr:1.0.0``."""
    repository, tag = image_name.for_new(name)
    host = repository.partition("/")[0] if "/" in repository else ""
    if not (host == "localhost" or set(host) & set(".:")):
        repository = f"docker.io/{repository if host else f'library/{repository}'}"
    return f"{repository}:{tag}"


def familiar_name(name: str) -> str:
    """Return the name of an image as people write it."""
    return name.removeprefix("docker.io/").removeprefix("library/")


DOCKER = Docker()


def engine(ctr: str) -> Engine:
    """Return the engine of hosts: containerd if its ctr command is given, else Docker."""
    return Containerd(ctr) if ctr else DOCKER
