"""Hosts over SSH: connections, remote scripts, copied files."""
