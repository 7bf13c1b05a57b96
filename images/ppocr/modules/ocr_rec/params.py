"""Parameters of ocr_rec. Names, meaning and defaults: src/ppocr_contract/params.py.

To change one for every host of an inventory set hubserving_params; to change one here for a
module folder of your own pass it to read() below.
"""

from ppocr_contract.params import RecParams, read


def read_params() -> RecParams:
    return read("ocr_rec")
