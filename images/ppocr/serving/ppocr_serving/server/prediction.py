"""``POST /ocr/prediction``: a request of :mod:`ppocr_contract.pdserving`, within the same limits.

The worker reads the request (:mod:`.app`), as it does every body; the answer, also of what never
reaches a worker, is put in that contract's shape here.
"""

from __future__ import annotations

import json
from typing import Any

from ppocr_contract import pdserving

from .handlers import Refusal
from .predict import Predict
from .responses import MESSAGE, capped, encode
from .upstream import Answer


class Prediction(Predict):
    """A request of a client of deploy/pdserving."""

    any_type = True  # its clients name none
    target = pdserving.PATH
    module = pdserving.MODULE

    def judge(self) -> Refusal | None:
        if refusal := super().judge():
            return refusal
        if self.module not in self.service.modules:
            return 404, f"{self.module} is not served (hubserving_modules)", "module"
        return None

    def failure(self, message: str, code: int) -> dict[str, Any]:
        return pdserving.failure(capped(message, MESSAGE), code)

    def body_of(self, answer: Answer) -> bytes:
        told = json.loads(answer.body)
        if told["status"] == "000":
            return encode(pdserving.answer(told["results"][0], told["msg"]))
        code = answer.code
        if code < 400:  # as stock answers it (hubserving_stock_status)
            code = 500 if answer.report.get("kind") == "internal" else 400
        return encode(self.failure(told["msg"], code))
