"""The control node's part in training: rendered lines, and the files for a training host."""
