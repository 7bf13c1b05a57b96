"""One folder with all that a host without internet needs, proved by its manifest.

MANIFEST.json            every file's sha256 and size, and what is what
MANIFEST.json.sig        its signature, where one was asked for (ssh-keygen -Y)
FILES, SHA256SUMS, .sig  the same for find, sha256sum and ssh-keygen (lists.py)
SBOM.cdx.json            what is inside, as CycloneDX
image/*.tar              the image; docker load --input takes it as it is
packages/<release>.tar   OS packages with their dependencies, as a local repository
project/                 this project
wheelhouse/              the control node's Python packages
README.txt               how to use it
"""
