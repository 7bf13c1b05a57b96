"""A stand-in checkout, drawn lines, and the playbooks on this machine's engine."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
CHARACTERS = "0123456789ABCDEFGHJKLMNPQRSTUV"


def run(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, cwd=ROOT, **options
    )


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's tools and data pipeline, with the networks of overlay/."""
    folder = tmp_path_factory.mktemp("checkout")
    done = run(
        sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes",
        "-r", HERE / "requirements.txt", "-d", folder / "wheel",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next((folder / "wheel").glob("*.whl"))) as wheel:
        wheel.extractall(folder / "unpacked")
    source = folder / "PaddleOCR"
    for name in ("tools", "ppocr"):
        shutil.copytree(folder / "unpacked/paddleocr" / name, source / name)
    shutil.copytree(HERE / "overlay", source, dirs_exist_ok=True)
    return source


def draw(folder: Path, count: int, held_back: int, seed: int) -> Path:
    """A data set that scripts/render_lines.py draws from random words of 30 characters."""
    chance = random.Random(seed)  # noqa: S311
    words = ["".join(chance.choices(CHARACTERS, k=chance.randint(4, 8))) for _ in range(700)]
    (folder / "words.txt").write_text("\n".join(words) + "\n")
    done = run(
        sys.executable, "-IB", ROOT / "scripts/render_lines.py", "--words", folder / "words.txt",
        "--out", folder / "data", "--count", count, "--held-back", held_back,
        "--degrade", 0, "--seed", seed, "--fonts", FONT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "data"


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 lines to train with and 100 held back."""
    return draw(tmp_path_factory.mktemp("lines"), 500, 100, seed=7)


class Trainer:
    """This machine as the one host of ppocr_trainers."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder, self.name = folder, settings["trainer_name"]
        self.host = folder / "host" / self.name
        self.inventory = folder / "inventory.yml"
        local = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        }
        group = {"hosts": {"localhost": local}, "vars": settings}
        self.inventory.write_text(yaml.safe_dump({"ppocr_trainers": group}))

    def play(
        self, playbook: str, *options: str, **settings: Any
    ) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("ansible-playbook")
        extra = ["-e", json.dumps(settings)] if settings else []
        return run(program, "-i", self.inventory, f"playbooks/{playbook}.yml", *options, *extra)

    def status(self) -> dict[str, Any]:
        file = self.host / "run/status.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def docker(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return run("docker", *arguments)

    @property
    def container(self) -> str:
        return f"ppocr-trainer-{self.name}"


@pytest.fixture(scope="session")
def trainer(
    checkout: Path, lines: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trainer]:
    folder = tmp_path_factory.mktemp("trainer")
    made = Trainer(
        folder,
        {
            "trainer_name": f"test-{os.getpid()}",
            "trainer_dir": str(folder / "host"),
            "trainer_work_dir": str(folder / "work"),
            "trainer_source": str(checkout),
            "trainer_config": "configs/tiny_rec.yml",
            "trainer_data": str(lines),
            "trainer_epochs": 14,
        },
    )
    # The container's user goes through the folders above.
    for path in (folder, *folder.parents):
        if path.stat().st_uid == os.getuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o111)
    yield made
    made.docker("rm", "--force", made.container)
