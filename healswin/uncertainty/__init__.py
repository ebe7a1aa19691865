"""How unsure models are, and whether they know when they are wrong: ``healswin uncertainty``.

Several trainings of one configuration with different seeds are a deep ensemble (Lakshminarayanan
et al. 2017, arXiv 1612.01474); a network that was trained with dropout is one too, if the dropout
stays on (Gal and Ghahramani 2016, arXiv 1506.02142). Their predictions are put together, and their
disagreement is set apart from what the data leave open (`healswin.metrics.uncertainty`). What comes
out are scores of one member and of all together, calibration, the error that is left when the most
unsure predictions are left out, and maps of the sphere.
"""

from importlib import import_module

_HOMES = {
    "Maps": "healswin.uncertainty.measure",
    "Members": "healswin.uncertainty.members",
    "as_markdown": "healswin.uncertainty.pages",
    "draw_curves": "healswin.uncertainty.pages",
    "draw_maps": "healswin.uncertainty.pages",
    "main": "healswin.uncertainty.command",
    "measure_uncertainty": "healswin.uncertainty.measure",
    "write_uncertainty": "healswin.uncertainty.pages",
}

__all__ = [
    "Maps",
    "Members",
    "as_markdown",
    "draw_curves",
    "draw_maps",
    "main",
    "measure_uncertainty",
    "write_uncertainty",
]


def __getattr__(name: str) -> object:
    # The command tells what is wrong with its arguments before torch is loaded.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'healswin.uncertainty' has no attribute {name!r}")
