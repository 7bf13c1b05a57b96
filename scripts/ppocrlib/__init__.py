"""What the scripts and roles do on the control node, as importable functions."""

import sys
from pathlib import Path

#: The repository.
ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "images"

# Rules that hold in the container as well (models, config.json, parameters) are written there once.
sys.path.insert(0, str(IMAGES / "ppocr/serving"))
