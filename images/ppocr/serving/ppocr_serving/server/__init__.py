"""PaddleHub Serving's own app under gunicorn, with a guard in front."""
