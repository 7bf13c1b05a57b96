"""A module that does what no module should: sleeps, fails, eats memory, dies."""

import os
import time
from typing import ClassVar

from paddlehub.module.module import RunModule, moduleinfo, serving


@moduleinfo(name="stuck", version="1.0.0", summary="", author="", author_email="", type="test")
class Stuck(RunModule):
    _eaten: ClassVar = []

    @serving
    def serving_method(self, sleep=0, eat=0, fail="", die=False):
        time.sleep(sleep)
        self._eaten.append(b"x" * (eat * 1_000_000))
        if fail:
            raise RuntimeError(f"cannot open /opt/secret/{fail}")
        if die:
            os._exit(9)
        return [[]]
