"""The contract of image and control node: models, parameters, config.json, settings.

Imports the standard library only: it runs wherever either of the two does.
"""
