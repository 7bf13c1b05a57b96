"""What the scripts and playbooks do on the control node, as a library."""

from pathlib import Path

#: The repository.
ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "images"
