"""Networks, and the registry that names their published and recommended configurations."""

from healswin.models.healswin import HealSwin, HealSwinEncoder
from healswin.models.published import from_published
from healswin.models.registry import (
    create_model,
    list_models,
    network_name,
    register_model,
    register_network,
)
from healswin.models.swin import SwinUNet

__all__ = [
    "HealSwin",
    "HealSwinEncoder",
    "SwinUNet",
    "create_model",
    "from_published",
    "list_models",
    "network_name",
    "register_model",
    "register_network",
]
