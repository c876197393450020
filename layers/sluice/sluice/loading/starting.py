"""Imported first by a function's app.py: no garbage is looked for before the function has started.

What modules make is there to stay: looking through it again and again was a tenth of the CPU of loading a function.
"""

import gc

gc.disable()


def started[Handler](handler: Handler) -> Handler:
    """`handler`, with garbage looked for from now on, and never again in what has been loaded."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    return handler
