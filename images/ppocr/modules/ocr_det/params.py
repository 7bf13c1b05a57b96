"""Parameters of ocr_det. Names, meaning and defaults: src/ppocr_contract/params.py.

To change one for every host of an inventory set hubserving_params; to change one here for a
module folder of your own pass it to read() below.
"""

from ppocr_contract.params import DetParams, read


def read_params() -> DetParams:
    return read("ocr_det")
