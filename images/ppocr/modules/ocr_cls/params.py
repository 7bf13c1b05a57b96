"""Parameters of ocr_cls. Names, meaning and defaults: src/ppocr_contract/params.py.

To change one for every host of an inventory set hubserving_params; to change one here for a
module folder of your own pass it to read() below.
"""

from ppocr_contract.params import ClsParams, read


def read_params() -> ClsParams:
    return read("ocr_cls")
