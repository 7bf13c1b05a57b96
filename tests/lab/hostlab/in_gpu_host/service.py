"""What runs in a container in place of the OCR service, where cards are pretended.

It answers its health check as long as the container's own nvidia-smi does, or there is none.
"""

import http.server
import os
import pathlib
import subprocess
import sys
import urllib.request


def gpu_trouble() -> str:
    if not pathlib.Path("/usr/bin/nvidia-smi").exists():
        return ""
    done = subprocess.run(
        [sys.executable, "/usr/bin/nvidia-smi", "-L"], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout.strip()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        trouble = gpu_trouble()
        self.send_response(503 if trouble else 200)
        self.end_headers()
        self.wfile.write(trouble.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    if sys.argv[1] == "health":
        urllib.request.urlopen("http://127.0.0.1:8866/readyz", timeout=3).read()
        return
    # The very expression of the stock modules, which a name that is no number would break.
    int(os.environ["CUDA_VISIBLE_DEVICES"][0])
    if trouble := gpu_trouble():
        sys.exit(trouble)
    http.server.ThreadingHTTPServer(("", 8866), Handler).serve_forever()


if __name__ == "__main__":
    main()
