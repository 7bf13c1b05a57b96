"""The Docker engine on this machine, or the one the docker command is configured for."""
