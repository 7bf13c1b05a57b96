"""The control node's part in training: lines that are drawn, files for the host that trains."""
