"""Print the metrics of the container this runs in, whatever access it asks for."""

import json
import os
import ssl
import sys
import urllib.request
from pathlib import Path

port = json.loads(Path("/etc/ppocr/config.json").read_text())["port"]
scheme = "https" if os.environ.get("PPOCR_TLS_CERT") else "http"
request = urllib.request.Request(f"{scheme}://127.0.0.1:{port}/metrics")  # noqa: S310
if tokens := os.environ.get("PPOCR_TOKEN_FILE"):
    lines = [line.strip() for line in Path(tokens).read_text().splitlines()]
    token = next(line for line in lines if line and not line.startswith("#"))
    request.add_header("Authorization", f"Bearer {token}")
if names := os.environ.get("PPOCR_HOSTS"):
    request.add_header("Host", names.split(",")[0])
# To itself, by another name than the certificate's
context = ssl._create_unverified_context()  # noqa: S323
with urllib.request.urlopen(request, timeout=5, context=context) as answer:  # noqa: S310
    sys.stdout.write(answer.read().decode())
