"""Programs that are sent to hosts as text: Python 3.6, standard library only."""
