"""Parameters of ocr_system. Names, meaning and defaults: src/ppocr_contract/params.py.

To change one for every host of an inventory set hubserving_params; to change one here for a
module folder of your own pass it below, for example read("ocr_system", use_angle_cls=False).
"""

from ppocr_contract.params import SystemParams, read


def read_params() -> SystemParams:
    return read("ocr_system")
