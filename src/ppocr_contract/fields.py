"""What the container reads of the settings of role hubserving."""

# Written by scripts/settings.py from roles/hubserving/settings.yml: change that, then run it.

from __future__ import annotations

import dataclasses

#: The least each whole number may be.
LEAST = {
    "width_step": 1,
    "workers": 1,
    "gpu_shapes": 1,
    "workers_per_gpu": 1,
    "threads": 1,
    "queue": 1,
    "timeout": 1,
    "graceful_timeout": 1,
    "max_requests": 0,
    "memory_ceiling": 0,
    "body_limit": 1,
    "images_limit": 1,
    "texts_limit": 1,
    "characters_limit": 1,
    "pixels_limit": 1,
    "pdf_pages_limit": 0,
    "pdf_dpi": 1,
    "pdf_dpi_limit": 1,
    "pdf_timeout": 1,
    "buffer_limit": 1,
    "header_timeout": 1,
    "body_timeout": 1,
    "connections": 1,
}
#: What a text may be.
CHOICES = {
    "server": ("gunicorn", "hub"),
    "precision": ("auto", "f32", "bf16"),
}


@dataclasses.dataclass(frozen=True)
class Fields:
    """The settings, ``hubserving_<field>``.

    Attributes:
        server: Server in the container: gunicorn runs PaddleHub's app under gunicorn, with limits,
            health paths and metrics; hub runs plain hub serving start -c config.json.
        pdserving: Answer clients of PaddleOCR's deploy/pdserving, too: POST /ocr/prediction on
            hubserving_pdserving_port, read by module ocr_system. See docs/pdserving.md.
        precision: Engine openvino: f32; bf16 (moves box corners by up to four pixels); or auto,
            which is bf16 if the CPU supports it and the image's models read at least as many lines
            correctly in it as in f32 (the layers that would move corners stay in f32), else f32.
            playbooks/models.yml shows which. Engine onnxruntime on a GPU: f32 turns TF32 off.
        width_step: Engine openvino: a text line is recognised at its own width, rounded up to a
            multiple of this many pixels, which bounds the memory for shapes. 1 gives stock's widths
            (the widest line of a batch) and, with precision f32, its exact confidences. Engine
            onnxruntime uses at least 160. From 1 to 4096.
        workers: Worker processes on a CPU, each with its own copy of the models (about 400 MB). On
            GPUs see hubserving_workers_per_gpu. From 1 to 256.
        gpu_shapes: Engine onnxruntime: shapes of input that each worker keeps a session for, of
            each model. A session takes 100 to 400 MB of the card's memory; a shape without one is
            read some ten times slower. From 1 to 256.
        workers_per_gpu: Worker processes on each card, each with its own copy of the models on the
            card. While a worker is being replaced its card holds one more. More than 1 needs
            hubserving_server: gunicorn. From 1 to 64.
        threads: Requests each worker processes at the same time. They take turns on the worker's
            inference threads: with engine openvino up to one inference per CPU runs at once, with
            paddle one. From 1 to 256.
        queue: Requests that may wait while all workers are busy; the next one gets 503 with
            Retry-After at once.
        timeout: Seconds a worker may take for one request. After that the request is answered with
            504, and the worker is killed and replaced.
        graceful_timeout: Seconds requests in flight have to finish when the service stops.
        max_requests: Requests after which a worker is replaced, once its replacement is ready; 0
            for never. At least 0.
        memory_ceiling: Memory in MB beyond which a worker is replaced in the same way; 0 for never.
            Two workers exist for a while, and hubserving_memory_limit must have room for both. On a
            GPU only what a worker has gained since it was ready counts, as CUDA takes gigabytes
            before the first request. At least 0.
        body_limit: Size of a request's body in MB, both as sent and decompressed; larger requests
            get 413. At least 1.
        images_limit: Images in one request; requests with more get 413.
        texts_limit: Texts in one request to the module text_correction; requests with more get 413.
        characters_limit: Characters in all texts of one request to text_correction; requests with
            more get 413.
        pixels_limit: Size of one image or PDF page in millions of pixels, checked before it is
            decoded or rendered. A larger one is not read; the request gets 413 if nothing else in
            it can be read. From 1 to 10000.
        pdf_pages_limit: Pages in one request, over all its PDFs. A PDF with more than are left is
            not read; the request gets 413 if nothing else in it can be read. 0 accepts no PDFs. At
            least 0.
        pdf_dpi: Resolution in pixels per inch at which PDF pages are rendered unless the client
            says otherwise. From 1 to 2400.
        pdf_dpi_limit: Highest resolution a client may ask for, in pixels per inch. From 1 to 2400.
        pdf_timeout: Seconds of CPU time that rendering one PDF may take; after that it fails, and
            the response says so.
        buffer_limit: Memory in MB for request bodies, over all clients. At least 1.
        header_timeout: Seconds a client has to send a request's header, and that an idle connection
            is kept open.
        body_timeout: Seconds a client has to send a request's body, and to read the answer.
        connections: Clients connected at once. Beyond that, idle connections are closed first,
            those of the address with the most connections before others; health checks are answered
            all the same. An edge in front (edge_enabled) has eight times as many, and gives one
            address half of these at most. From 1 to 65472.
        stock_status: Answer errors with HTTP 200 as stock PaddleHub does, for clients that cannot
            handle 4xx and 5xx.
        allow_networks: Networks clients may connect from; empty for all. The address is the one the
            edge sees (without an edge, the container): behind a load balancer, the balancer's.
        hosts: Host names and addresses clients may use (the Host header); empty for any. Setting it
            keeps foreign web pages from reaching the service through a visitor's browser (DNS
            rebinding). Health checks from inside the container are exempt.
    """

    server: str = "gunicorn"
    pdserving: bool = False
    precision: str = "auto"
    width_step: int = 32
    workers: int = 1
    gpu_shapes: int = 12
    workers_per_gpu: int = 1
    threads: int = 4
    queue: int = 64
    timeout: int = 60
    graceful_timeout: int = 30
    max_requests: int = 5000
    memory_ceiling: int = 1500
    body_limit: int = 64
    images_limit: int = 32
    texts_limit: int = 256
    characters_limit: int = 4000
    pixels_limit: int = 50
    pdf_pages_limit: int = 20
    pdf_dpi: int = 200
    pdf_dpi_limit: int = 300
    pdf_timeout: int = 20
    buffer_limit: int = 512
    header_timeout: int = 30
    body_timeout: int = 60
    connections: int = 512
    stock_status: bool = False
    allow_networks: str = ""
    hosts: str = ""
