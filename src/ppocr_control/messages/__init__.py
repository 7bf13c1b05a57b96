"""Messages that people look up, with their remedies: one catalogue for code, pages and tests."""
