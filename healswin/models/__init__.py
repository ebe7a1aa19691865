"""Networks, and the registry that names their published and recommended configurations."""

from healswin.models.healswin import HealSwinEncoder, HealSwinUNet
from healswin.models.published import from_published
from healswin.models.registry import create_model, list_models, register_model

__all__ = [
    "HealSwinEncoder",
    "HealSwinUNet",
    "create_model",
    "from_published",
    "list_models",
    "register_model",
]
