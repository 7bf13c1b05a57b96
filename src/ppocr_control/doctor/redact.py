"""Text without secrets and without what clients sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

HIDDEN = "(hidden)"
_NAMES = (
    r"[\w.-]*(?:token|secret|passw|passphrase|api_?key|access_?key|credential|private_?key|cookie)"
    r"[\w.-]*"
)
_RULES = (
    (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
    (r"(?<=//)[^/\s:@\"']+:[^/\s\"']*@", f"{HIDDEN}@"),
    (r"(?i)\b(bearer|basic) +[\w.~+/=-]{6,}", rf"\1 {HIDDEN}"),
    (r"(?i)(\bauthorization\b[\"']?\s*[:=]\s*[\"']?)(?!bearer|basic)[^\s\"']+", rf"\1{HIDDEN}"),
    (rf"(?i)(\b{_NAMES}[\"']?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;\"'}}\]]+)", rf"\1{HIDDEN}"),
    (r"[A-Za-z0-9+/_-]{200,}={0,2}", "(base64, left out)"),
)
#: Variables of the container whose values may be read; all of an operator's own are hidden.
_OWN = re.compile(r"(PPOCR_\w+|CUDA_VISIBLE_DEVICES|NVIDIA_\w+|TZ|LANG|PATH)=")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace known secrets, and what looks like one: keys, passwords, tokens, long base64."""
    for secret in sorted({each for each in secrets if each}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    return text


def container(inspected: dict[str, Any]) -> dict[str, Any]:
    """What `docker inspect` says of a container, with the values of foreign variables hidden."""
    config = inspected.get("Config") or {}
    environment = [
        each if _OWN.match(each) else f"{each.partition('=')[0]}={HIDDEN}"
        for each in config.get("Env") or []
    ]
    return {**inspected, "Config": {**config, "Env": environment}}


def containers(text: str) -> list[dict[str, Any]]:
    """The containers in the output of `docker inspect`; none where it is no JSON."""
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [container(each) for each in found if isinstance(each, dict)]
