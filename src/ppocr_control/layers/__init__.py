"""Images as layers: read from an engine or a file, compressed once, stored, written, loaded."""
