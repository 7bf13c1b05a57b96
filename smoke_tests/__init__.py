"""Smoke tests of a hubserving OCR service: samples with known text, sent to a URL."""
