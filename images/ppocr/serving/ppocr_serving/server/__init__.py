"""PaddleHub Serving's own app under gunicorn, behind a middleware and a front."""
