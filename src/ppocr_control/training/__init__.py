"""The control node's part in training: labelled lines that are drawn, and files for a trainer host."""
