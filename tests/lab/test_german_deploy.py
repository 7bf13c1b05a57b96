"""A whole deploy of a German host, from a path with a blank, in Chinese. Run with --full."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from german import german
from hostlab import Host, inventory

pytestmark = pytest.mark.full

__all__ = ["german"]
ROOT = Path(__file__).parents[2]


def test_a_deploy_from_a_path_with_a_blank_under_a_chinese_locale(
    german: Host, tmp_path: Path
) -> None:
    checkout = tmp_path / "a checkout"
    made = {".git", ".venv", ".lab", "build", "reports"}
    shutil.copytree(
        ROOT,
        checkout,
        ignore=lambda folder, names: made & set(names) if folder == str(ROOT) else (),
    )
    hosts = inventory.write(checkout / "my hosts.yml", [german])
    chinese = {"LANG": "zh_CN.UTF-8", "LC_ALL": "zh_CN.UTF-8", "LANGUAGE": "zh_CN:zh"}
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PPOCR_")}
    done = subprocess.run(
        [str(checkout / "scripts/deploy"), "-i", str(hosts)],
        cwd=tmp_path, env={**outside, **chinese, "PPOCR_CACHE": str(tmp_path / "cache")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "PASSED german" in done.stdout
