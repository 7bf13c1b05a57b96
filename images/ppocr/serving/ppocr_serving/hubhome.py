"""PaddleHub's home directory: writable where it must be, offline, with the image's modules in it.

PaddleHub writes to ``HUB_HOME`` (pid files, logs, locks) and reads its modules and settings there.
The image is read-only, so the home is made afresh at each start in a tmpfs, its ``modules`` a link
to those installed when the image was built, and its server one that refuses at once: PaddleHub
sends a notice to ``server`` whenever serving starts or a module is loaded, and nothing leaves here.
"""

from __future__ import annotations

import ast
import contextlib
import os
from pathlib import Path

#: Where ``hub install`` put the modules when the image was built.
INSTALLED_MODULES = Path("/opt/ppocr/hub/modules")
#: The discard port of this container: nothing listens, nothing is resolved, nothing waits.
_NOWHERE = "http://127.0.0.1:9"
_SETTINGS = f"server: {_NOWHERE}\nlog:\n  enable: true\n  level: INFO\n"


def hub_home() -> Path:
    return Path(os.environ.get("HUB_HOME", "/run/ppocr/hub"))


def prepare(home: Path | None = None, modules: Path = INSTALLED_MODULES) -> Path:
    """Make the home where it is not yet; return it."""
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
    """Write a file where it is not so yet: whole, since others may read it meanwhile, and never
    again, since the tmpfs may be full by then."""
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


def brings_paddle(name: str, home: Path | None = None) -> bool:
    """Whether an installed module is made on Paddle, by its code and not by its name: one named
    as one of ours may have been put in its place.

    Ours, and changed copies of them, are made on ppocr_serving and import no Paddle themselves.
    """
    folder = (home or hub_home()) / "modules" / name
    module = folder / "module.py"
    if not module.is_file():
        return False  # PaddleHub says so itself
    if "ppocr_serving" not in _imported(module):
        return True
    return any("paddle" in _imported(file) for file in folder.rglob("*.py"))


def _imported(file: Path) -> set[str]:
    """Names of the top-level packages a file imports, anywhere in it."""
    names: set[str] = set()
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # cannot be imported, so it imports nothing
        return names
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names
