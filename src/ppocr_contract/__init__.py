"""What the image and the control node agree on: models, parameters, config.json, settings.

Imports the standard library only: it runs wherever either of the two does.
"""
