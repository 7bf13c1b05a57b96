"""Text correction: which characters of a text are likely wrong, and what was likely meant.

A text is taken for one that was altered on its way (a noisy channel, Shannon 1948): of all texts it
could have been, one is reported where it is likelier than what stands there, by what a language
model says of both, and after what it costs to take one character for the other. That cost comes
from the recogniser's own second choices where there is a picture, else from how alike two
characters are.
"""
