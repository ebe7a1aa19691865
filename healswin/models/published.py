"""Weights of the published HEAL-SWIN code under this library's names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

# Buffers that the published code saves although they follow from the configuration.
_DERIVED = re.compile(r"(attn_mask|relative_position_index)$")

# Published name -> ours, the first match counts. Decoder stage i of the published code expands
# at its end, ours at the beginning, so that every expansion belongs to the stage it leads to.
_RENAMED = (
    (r"^absolute_pos_embed$", "encoder.position"),
    (r"^patch_embed\.", "encoder.patch_embed."),
    (r"^norm\.", "encoder.norm."),
    (r"^layers\.(\d+)\.downsample\.", r"encoder.merges.\1."),
    (r"^layers\.(\d+)\.blocks\.", r"encoder.stages.\1.blocks."),
    (r"^decoder\.layers_up\.0\.(expand|norm)\.", r"decoder.0.expand.\1."),
    (r"^decoder\.layers_up\.(\d+)\.upsample\.", r"decoder.\1.expand."),
    (r"^decoder\.layers_up\.(\d+)\.blocks\.", r"decoder.<\1-1>.stage.blocks."),
    (r"^decoder\.concat_back_dim\.(\d+)\.", r"decoder.<\1-1>.join."),
    (r"^decoder\.norm_up\.", "head.norm."),
    (r"^decoder\.up\.", "head.expand."),
    (r"^decoder\.output\.", "head.classes."),
)


def from_published(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Map a state dict of the published U-Net to the names of `HealSwin`.

    Args:
        state_dict: Parameters under the published names, `SwinHPTransformerSys` with its
            `UnetDecoder`; derived buffers in it are left out.

    Returns:
        A state dict that `HealSwin.load_state_dict` takes whole.

    Raises:
        ValueError: If a name is not one of the published network's.
    """
    renamed = {}
    for name, value in state_dict.items():
        if _DERIVED.search(name):
            continue
        ours = _rename(name)
        # The published last layer is a convolution of width 1.
        renamed[ours] = value.squeeze(-1) if ours == "head.classes.weight" else value
    return renamed


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMED:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            renamed = re.sub(r"<(\d+)-1>", lambda m: str(int(m[1]) - 1), renamed)
            return renamed.replace("relative_position_bias_table", "bias.table")
    raise ValueError(f"{name!r} is no parameter of the published HEAL-SWIN U-Net")
