"""Builds the image with the engine of this machine."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker

from .. import IMAGES
from ..docker_engine.engine import local_engine
from ..errors import Error
from ..progress import Progress
from . import context, image_name

#: How a step of the build begins a line that a person should see.
_NOTE = "note: "
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Sources:
    """Where packages come from; empty for the defaults of the tools."""

    pip_index_url: str = ""
    apt_mirror: str = ""


def build(
    tag: str,
    settings: context.ImageSettings,
    sources: Sources,
    cache: Path,
    progress: Progress,
    force: bool = False,
) -> dict[str, Any]:
    """Build an image unless the engine has it; return image_id, content, size and changed.

    Raises:
        Error: the build failed; the message contains its last lines.
        ContextError, ModelError: a setting is wrong.
    """
    repository, name_tag = image_name.for_new(tag)
    tag = f"{repository}:{name_tag}"
    client = local_engine()
    content = context.content_hash(settings)
    existing = _inspect(client, tag)
    labels = (existing["Config"].get("Labels") or {}) if existing else {}
    if existing and not force and labels.get(context.CONTENT_LABEL) == content:
        return {
            "image_id": existing["Id"],
            "content": content,
            "size": existing["Size"],
            "changed": False,
        }
    _ensure_base(client, settings, sources, progress)
    with tempfile.TemporaryDirectory(prefix="ppocr-build.") as folder:
        progress.say("preparing the build context (models are fetched and verified)")
        context.write(settings, Path(folder) / "context", cache / "models")
        context.pack(Path(folder) / "context", Path(folder) / "context.tar")
        _build(
            client,
            tag,
            Path(folder) / "context.tar",
            _arguments(tag, settings, sources, content),
            progress,
        )
    made = client.api.inspect_image(tag)
    return {"image_id": made["Id"], "content": content, "size": made["Size"], "changed": True}


def _inspect(client: docker.DockerClient, name: str) -> dict[str, Any] | None:
    try:
        return dict(client.api.inspect_image(name))
    except docker.errors.ImageNotFound:
        return None


def _ensure_base(
    client: docker.DockerClient,
    settings: context.ImageSettings,
    sources: Sources,
    progress: Progress,
) -> None:
    name = context.base_tag(settings)
    if _inspect(client, name):
        return
    if settings.base:
        progress.say(f"pulling {name}")
        try:
            client.images.pull(name)
        except docker.errors.APIError as error:
            raise Error(f"cannot pull {name} (--base): {error.explanation or error}") from error
        return
    progress.say("bootstrapping the base image from packages (about a minute)")
    environment = {**os.environ, "APT_MIRROR": sources.apt_mirror}
    command = [str(IMAGES / "base/build.sh"), name, context.BASE_SUITE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        output = (done.stderr or done.stdout).strip()[-1500:]
        raise Error(f"the base image could not be built: {output}")


def _arguments(
    tag: str, settings: context.ImageSettings, sources: Sources, content: str
) -> dict[str, str]:
    given = {
        "NAME": tag,
        "BASE": context.base_tag(settings),
        "VERSION": settings.version,
        "REVISION": context.revision(),
        "CREATED": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "CONTENT": content,
        "MODELS": settings.model_names(),
        "PADDLE": context.paddle_label(settings),
        "CUDA_KERNELS": context.kernels(settings),
        "PIP_INDEX_URL": sources.pip_index_url or os.environ.get("PIP_INDEX_URL", ""),
        **{name: os.environ.get(name, os.environ.get(name.lower(), "")) for name in _PROXIES},
    }
    return {name: value for name, value in given.items() if value}


def _build(
    client: docker.DockerClient,
    tag: str,
    archive: Path,
    arguments: dict[str, str],
    progress: Progress,
) -> None:
    last: list[str] = []
    with archive.open("rb") as file:
        lines = client.api.build(
            fileobj=file, custom_context=True, tag=tag, buildargs=arguments, rm=True, decode=True
        )
        for line in lines:
            text = str(line.get("stream") or line.get("error") or "").strip()
            if text:
                last = [*last, text][-12:]
            if "error" in line:
                raise Error("the image could not be built:\n" + "\n".join(last))
            if text.startswith(("Step ", _NOTE)):
                progress.say(text[:200])
