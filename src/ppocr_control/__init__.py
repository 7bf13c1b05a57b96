"""The control node's library, used by scripts and playbooks."""

from pathlib import Path

#: The repository.
ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "images"
