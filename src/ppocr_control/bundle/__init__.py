"""A folder with everything a host without internet needs, verified by its manifest.

MANIFEST.json            every file's sha256 and size, and their roles
MANIFEST.json.sig        its signature, if requested (ssh-keygen -Y)
FILES, SHA256SUMS, .sig  the same for find, sha256sum and ssh-keygen (lists.py)
SBOM.cdx.json            list of contents in CycloneDX
image/*.tar              the image, ready for docker load --input
packages/<release>.tar   OS packages with their dependencies, as a local repository
project/                 this project
wheelhouse/              the control node's Python packages
README.txt               how to use it
"""
