"""Parameters of text_correction. Names, meaning and defaults: src/ppocr_contract/params.py.

To change one for every host of an inventory set hubserving_params; to change one here for a
module folder of your own pass it to read() below.
"""

from ppocr_contract.params import CorrectionParams, read


def read_params() -> CorrectionParams:
    return read("text_correction")
