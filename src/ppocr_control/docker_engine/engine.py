"""The Docker engine the commands work with: the one the docker command itself would use."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import requests

from ..errors import Error
from . import over_ssh

_SECONDS = 600
_OWN = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class Endpoint:
    """Where an engine listens.

    Attributes:
        host: unix://..., tcp://... or ssh://...
        origin: what named it, for messages.
        tls: folder with ca.pem, cert.pem and key.pem, or None.
        verify: whether the engine's certificate is checked.
    """

    host: str
    origin: str
    tls: Path | None = None
    verify: bool = True


@functools.cache
def endpoint() -> Endpoint:
    """The engine DOCKER_HOST names, or the context of the docker command (DOCKER_CONTEXT, docker
    context use), or this machine's.

    Raises:
        Error: the context that is chosen does not exist.
    """
    if host := os.environ.get("DOCKER_HOST"):
        return Endpoint(host, "DOCKER_HOST")
    if not shutil.which("docker"):
        return Endpoint(_OWN, "this machine")
    # Asked as it would resolve it for itself: its files have changed their place and form before.
    asked = subprocess.run(
        ["docker", "context", "inspect", "--format", "{{json .}}"],
        capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    chosen = os.environ.get("DOCKER_CONTEXT", "")
    try:
        context = json.loads(asked.stdout)
        named = str(context["Endpoints"]["docker"]["Host"])
    except (ValueError, KeyError, TypeError):
        if asked.returncode and (chosen or "not found" in asked.stderr):
            raise Error(
                f"the docker context {chosen or 'in use'} cannot be read "
                f"({asked.stderr.strip()}): choose another with docker context use or "
                "DOCKER_CONTEXT; docker context ls lists them"
            ) from None
        # Commands that know no contexts, among them podman's stand-in.
        return Endpoint(_OWN, "this machine")
    origin = "this machine" if context["Name"] == "default" else f"docker context {context['Name']}"
    material = context.get("TLSMaterial") or {}
    folder = (context.get("Storage") or {}).get("TLSPath")
    tls = Path(folder) / "docker" if folder and material.get("docker") else None
    return Endpoint(named, origin, tls, not context["Endpoints"]["docker"].get("SkipTLSVerify"))


def is_local() -> bool:
    """Whether the engine's files are this machine's."""
    return endpoint().host.startswith("unix://")


def local_engine() -> docker.DockerClient:
    """A client of the engine; see endpoint.

    Raises:
        Error: none answers.
    """
    where = endpoint()
    said = ""
    try:
        if where.host.startswith("ssh://"):
            tunnel = _tunnel(where.host)
            try:
                client = docker.DockerClient(f"unix://{tunnel.path}", timeout=_SECONDS)
                client.ping()
            except Exception:
                said = tunnel.said()
                raise
        else:
            client = _client(where)
            client.ping()
    except (docker.errors.DockerException, requests.RequestException, OSError, ValueError) as error:
        place = "on this machine" if where.host == _OWN else f"at {where.host} ({where.origin})"
        remedy = (
            "Start it, or run as a user that may use it (root, or a member of group docker)"
            if where.host.startswith("unix://")
            else f"Check it with docker version, or choose another engine ({where.origin})"
        )
        raise Error(f"no Docker engine answers {place} ({said or error}). {remedy}") from error
    return client


@functools.cache
def _tunnel(host: str) -> over_ssh.Tunnel:
    return over_ssh.Tunnel(host)


def _client(where: Endpoint) -> docker.DockerClient:
    if where.origin == "DOCKER_HOST":
        return docker.from_env(timeout=_SECONDS)  # with DOCKER_TLS_VERIFY and DOCKER_CERT_PATH
    tls: Any = None
    if where.tls:
        pair = (str(where.tls / "cert.pem"), str(where.tls / "key.pem"))
        authority = where.tls / "ca.pem"
        tls = docker.tls.TLSConfig(
            client_cert=pair if Path(pair[0]).is_file() else None,
            ca_cert=str(authority) if authority.is_file() else None,
            verify=where.verify,
        )
    return docker.DockerClient(where.host, timeout=_SECONDS, tls=tls)
