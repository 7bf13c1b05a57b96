"""The OCR pipeline: find lines, turn them upright, read them.

Pre- and post-processing operators are rapidocr's, adjusted where PaddleOCR's own pipeline
(tools/infer/predict_system.py) differs, so that the answers are those of the stock service.
"""
