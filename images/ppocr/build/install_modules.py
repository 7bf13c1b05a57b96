"""Installs the modules with PaddleHub's own manager (what ``hub install FOLDER`` does), at build time."""

from __future__ import annotations

import sys
from pathlib import Path


def main(folders: list[str]) -> None:
    from paddlehub.module.manager import LocalModuleManager

    manager = LocalModuleManager()
    for folder in folders:
        path = Path(folder)
        if not (path / "module.py").is_file():
            sys.exit(f"{path.name}: no module.py in it: not a PaddleHub module folder")
        installed = manager.install(directory=str(path))
        if installed is None:
            sys.exit(f"{path.name}: PaddleHub did not install it")


if __name__ == "__main__":
    main(sys.argv[1:])
