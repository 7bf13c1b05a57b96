"""Installs the modules with PaddleHub's own manager, as ``hub install FOLDER`` does, at build time.

Each is imported once, in a process of its own, the way serving will import it: a module that cannot
be imported ends the build with one sentence instead of a service that never gets ready. Models are
not loaded, and neither a GPU nor a network is needed.
"""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

_REMEDY = "add what it needs to ppocr_image_extra_requirements, or mend it"


def _install(path: Path) -> None:
    if not (path / "module.py").is_file():
        sys.exit(f"{path.name}: no module.py in it: not a PaddleHub module folder")
    from paddlehub.module.manager import LocalModuleManager

    try:
        installed = LocalModuleManager().install(directory=str(path))
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        here = [frame for frame in frames if f"/{path.name}/" in frame.filename]
        # The module's own innermost line, not PaddleHub's.
        where = f" ({Path(here[-1].filename).name} line {here[-1].lineno})" if here else ""
        said = " ".join(f"{type(error).__name__}: {error}".split())
        sys.exit(f"module {path.name} cannot be imported: {said}{where}: {_REMEDY}")
    if installed is None:
        sys.exit(f"{path.name}: PaddleHub did not install it")


def main(folders: list[str]) -> None:
    """Install each folder; end with the sentence of every one that failed."""
    failed = []
    for folder in folders:
        # A process for each: what one leaves in sys.modules must not hide what another lacks.
        done = subprocess.run(
            [sys.executable, __file__, "--one", folder],
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            failed.append(
                lines[-1] if lines else f"{Path(folder).name} ended its Python ({done.returncode})"
            )
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        _install(Path(sys.argv[2]))
    else:
        main(sys.argv[1:])
