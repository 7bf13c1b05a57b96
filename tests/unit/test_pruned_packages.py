"""What images/ppocr/build/prune.txt takes out of the packages of both images."""

from __future__ import annotations

from pathlib import Path

from role_code import load

prune = load("images/ppocr/build/environment.py").prune


def test_stubs_that_a_package_reads_stay(tmp_path: Path) -> None:
    """lazy_loader.attach_stub, in scikit-image of the trainer image, reads those beside it."""
    stubs = {name: tmp_path / name for name in ("numpy/core/a.pyi", "cv2/a.pyi", "skimage/a.pyi")}
    for stub in stubs.values():
        stub.parent.mkdir(parents=True)
        stub.touch()
    prune(tmp_path)
    assert [name for name, stub in stubs.items() if stub.exists()] == ["skimage/a.pyi"]
