"""The roles' settings: read from their settings.yml files, checked, written wherever they stand."""
