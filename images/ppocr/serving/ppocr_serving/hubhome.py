"""PaddleHub's home directory: writable where it must be, offline, with the image's modules in it.

PaddleHub writes to ``HUB_HOME`` (pid files, logs, locks) and reads its modules and settings there.
The image is read-only, so the home is made afresh at each start in a tmpfs, its ``modules`` a link
to those installed when the image was built, and its server one that refuses at once: PaddleHub
sends a notice to ``server`` whenever serving starts or a module is loaded, and nothing leaves here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppocr_contract import paddle

#: Where ``hub install`` put the modules when the image was built.
INSTALLED_MODULES = Path("/opt/ppocr/hub/modules")
#: The discard port of this container: nothing listens, nothing is resolved, nothing waits.
_NOWHERE = "http://127.0.0.1:9"
_SETTINGS = f"server: {_NOWHERE}\nlog:\n  enable: true\n  level: INFO\n"


def hub_home() -> Path:
    return Path(os.environ.get("HUB_HOME", "/run/ppocr/hub"))


def prepare(home: Path | None = None, modules: Path = INSTALLED_MODULES) -> Path:
    """Create the home if it does not exist; return it."""
    home = home or hub_home()
    (home / "conf").mkdir(parents=True, exist_ok=True)
    # Both files exist before PaddleHub is imported, or it writes its own with its public server.
    keep(home / "conf/config.yaml", _SETTINGS)
    keep(home / "conf/cache.yaml", "hub_name: ppocr\n")
    link = home / "modules"
    if modules.is_dir():
        with contextlib.suppress(FileExistsError):
            link.symlink_to(modules)
    return home


def keep(file: Path, text: str) -> None:
    """Write a file unless it has this content already: atomically, since others may read it
    meanwhile, and only once, since the tmpfs may be full later."""
    with contextlib.suppress(OSError):
        if file.read_text() == text:
            return
    aside = file.with_suffix(f".{os.getpid()}")
    aside.write_text(text)
    aside.replace(file)


def installed_modules(home: Path | None = None) -> list[str]:
    """Names of the installed modules."""
    folder = (home or hub_home()) / "modules"
    return sorted(path.parent.name for path in folder.glob("*/module.py"))


def why_paddle(modules: Mapping[str, Mapping[str, Any]], home: Path | None = None) -> str:
    """Why modules of config.json need Paddle, by their code and engine; empty if they do not."""
    installed = (home or hub_home()) / "modules"
    return paddle.of_config(modules, lambda name: installed / name)
