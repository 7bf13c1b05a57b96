"""Sends images to hosts: only the layers each lacks."""
