"""What runs inside the ppocr container: OCR pipeline, engines, PaddleHub modules' base, server."""
