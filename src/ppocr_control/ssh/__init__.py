"""Hosts over SSH: connections, scripts that run there, files copied."""
