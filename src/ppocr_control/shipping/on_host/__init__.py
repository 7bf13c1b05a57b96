"""Programs that run on hosts, sent as text: Python 3.6 and its standard library, nothing else."""
