"""Put the pretended GPU in the place of the real one: on PYTHONPATH of a container under test.

Everything but the driver and the engine is the product's own: the preflight, the fork, the card
each worker is told, readiness, and what is done about failures.
"""

import importlib.abc
import importlib.util
import sys
from pathlib import Path

_INSTEAD = {"ppocr_serving.cuda": "cuda.py", "ppocr_serving.engines.onnxruntime": "engine.py"}


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        if fullname not in _INSTEAD:
            return None
        file = Path(__file__).with_name(_INSTEAD[fullname])
        return importlib.util.spec_from_file_location(fullname, file)


sys.meta_path.insert(0, _Finder())
