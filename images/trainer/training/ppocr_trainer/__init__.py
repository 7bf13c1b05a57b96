"""Runs in the trainer image: trains, exports and proves models with a PaddleOCR checkout."""
