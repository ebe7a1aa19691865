"""Multi-head attention between the queries and the keys of each block."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from healswin.layers.bias import Bias, make_bias
from healswin.layers.neighbourhoods import Neighbourhoods

# Swin V2 (Liu et al. 2022, arXiv 2111.09883, section 3.2): temperatures are at least 1 / 100 and
# start at 1 / 10; their logarithms are learned.
_LOG_LARGEST_SCALE = math.log(100.0)
_LOG_FIRST_SCALE = math.log(10.0)
_SMALLEST_NORM = 1e-12


# First value of c and c'. Larger, the directions dominate untrained logits, and with them the
# noise that interpolation puts into a rotated map (`benchmarks/structure.py`).
_FIRST_STEERING = 0.5


class Steer(NamedTuple):
    """What the steered bias needs of a run of blocks.

    Attributes:
        tangents: (batch, blocks, q, heads, 3), tangent vectors from the block before, or None.
        normal: (blocks, q, 3), the unit vectors of the queries.
        place: (blocks, q, 3), the queries seen from the middle of the block, in pixel spacings.
        key_place: (blocks, k, 3), the keys likewise.
    """

    tangents: Tensor | None
    normal: Tensor
    place: Tensor
    key_place: Tensor


class Attention(nn.Module):
    """Self-attention inside blocks of queries and keys: windows, discs, or everybody.

    The steered bias (``bias="steered"``) gives directions a meaning without a frame: every head
    makes a tangent vector u_i = Proj_i sum_j attention_ij (s_j - s_i) (p_j - p_i) / a from a
    learned scalar charge s, and the next block adds (c u_i + c' p_i x u_i) . p_j / a to its logits.
    The term with c' tells left from right.

    Args:
        dim: Channels of the tokens.
        num_heads: Heads; divides dim.
        window_size: Tokens in a window, for the table.
        bias: Position bias, see `healswin.layers.bias`.
        cosine: Cosine attention of Swin V2; otherwise the logits are q k / sqrt(head width).
        dropout: Dropout of the output.
        attention_dropout: Dropout of the attention weights.
        chiral: Whether "frame" and "steered" tell left from right.
        takes_tangents: With "steered": whether a block before makes tangent vectors.
        makes_tangents: With "steered": whether a block after takes them.

    Raises:
        ValueError: If num_heads does not divide dim or the table's window_size is no power of four.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: int,
        *,
        bias: Bias = "table",
        cosine: bool = True,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        chiral: bool = True,
        takes_tangents: bool = False,
        makes_tangents: bool = False,
    ) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"num_heads={num_heads} must divide the {dim} channels")
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.proj_dropout = nn.Dropout(dropout)
        self.attention_dropout = attention_dropout
        self.logit_scale = (
            nn.Parameter(torch.full((num_heads, 1, 1), _LOG_FIRST_SCALE)) if cosine else None
        )
        self.bias = make_bias(bias, num_heads, window_size, chiral)
        steered = bias == "steered"
        self.charge = nn.Linear(dim, num_heads, bias=False) if steered and makes_tangents else None
        self.along = self.across = None
        if steered and takes_tangents:
            first = torch.full((num_heads, 1, 1), _FIRST_STEERING)
            self.along = nn.Parameter(first)
            self.across = nn.Parameter(first.clone()) if chiral else None
        self._kept_bias: tuple[list[Tensor], Neighbourhoods, Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles do without the bias kept for evaluation."""
        return {**self.__dict__, "_kept_bias": None}

    def train(self, mode: bool = True) -> Self:
        """Set the mode; what was kept for evaluation is forgotten."""
        self._kept_bias = None
        return super().train(mode)

    def pair_bias(self, places: Neighbourhoods) -> Float[Tensor, "classes heads q k"] | None:
        """Bias and mask of every class of blocks; None where there is neither.

        In evaluation it is kept for as long as the weights and the places stay as they are.
        """
        if self.bias is None:
            return places.class_mask
        keep = not (self.training or torch.is_grad_enabled() or torch.compiler.is_compiling())
        state = _state(self.bias) if keep else None
        if keep and self._kept_bias is not None:
            kept_state, kept_places, kept_bias = self._kept_bias
            if kept_places is places and all(map(_same, kept_state, state)):
                return kept_bias
        # float32, whatever the autocast: the learned functions are small, their sums are not.
        with torch.autocast(_device_type(self.bias), enabled=False):
            bias = self.bias(places)
            if places.class_mask is not None:
                bias = bias + places.class_mask
        self._kept_bias = (state, places, bias) if keep else None
        return bias

    def sources(self, x: Float[Tensor, "batch tokens channels"]) -> Tensor:
        """What keys bring, of all tokens, where blocks gather them: keys, values, charges."""
        dim = x.shape[-1]
        keys_values = functional.linear(x, self.qkv.weight[dim:], self.qkv.bias[dim:])
        if self.charge is None:
            return keys_values
        return torch.cat([keys_values, self.charge(x).to(keys_values.dtype)], dim=-1)

    def forward(
        self,
        x: Float[Tensor, "batch blocks q channels"],
        sources: Float[Tensor, "batch blocks k sources"] | None,
        bias: Float[Tensor, "biases heads q k"] | None,
        mask: Float[Tensor, "masked 1 q k"] | None,
        steer: Steer | None,
    ) -> tuple[Float[Tensor, "batch blocks q channels"], Tensor | None]:
        """Attend inside blocks.

        Args:
            x: Queries.
            sources: What `sources` made of the keys; None: the queries are the keys.
            bias: Added to the logits, for every block or for all of them alike.
            mask: Added to the logits of the last blocks.
            steer: Places and tangent vectors, with the steered bias.

        Returns:
            The attended tokens, and new tangent vectors (batch, blocks, q, heads, 3) if the next
            block takes them.
        """
        dim = x.shape[-1]
        charge = key_charge = None
        if sources is None:
            q, k, v = self.qkv(x).split(dim, dim=-1)
            if self.charge is not None:
                charge = key_charge = self.charge(x)
        else:
            q = functional.linear(x, self.qkv.weight[:dim], self.qkv.bias[:dim])
            k, v, key_charge = sources.split([dim, dim, sources.shape[-1] - 2 * dim], dim=-1)
            if self.charge is not None:
                charge = self.charge(x)
        q, k, v = (t.unflatten(-1, (self.num_heads, -1)).transpose(2, 3) for t in (q, k, v))
        if self.logit_scale is None:
            q = q * q.shape[-1] ** -0.5
        else:
            scale = self.logit_scale.clamp(max=_LOG_LARGEST_SCALE).exp()
            # In the precision of the norms: the factor of a vanishing query has no half precision.
            q = (q * (scale / _norm(q))).to(v.dtype)
            k = (k * _norm(k).reciprocal()).to(v.dtype)
        if steer is None and fused_is_faster(q, self.training and self.attention_dropout > 0):
            mixed = _fused(q, k, v, bias, mask, self.attention_dropout if self.training else 0.0)
            return self._project(mixed), None

        logits = q @ k.transpose(-2, -1)
        if bias is not None:
            logits = logits + bias
        if self.along is not None and steer.tangents is not None:
            logits = logits + self._steered_logits(steer)
        if mask is not None:
            free = logits.shape[1] - mask.shape[0]
            logits = torch.cat([logits[:, :free], logits[:, free:] + mask], dim=1)
        weights = logits.softmax(-1)
        tangents = None
        if self.charge is not None:
            tangents = _tangents(weights, charge, key_charge, steer)
        weights = functional.dropout(weights, self.attention_dropout, self.training)
        return self._project(weights.to(v.dtype) @ v), tangents

    def _project(self, mixed: Float[Tensor, "batch blocks heads q width"]) -> Tensor:
        return self.proj_dropout(self.proj(mixed.transpose(2, 3).flatten(3)))

    def _steered_logits(self, steer: Steer) -> Float[Tensor, "batch blocks heads q k"]:
        tangents = steer.tangents.transpose(2, 3)
        direction = self.along * tangents
        if self.across is not None:
            normal = steer.normal[:, None].expand_as(tangents)
            direction = direction + self.across * torch.linalg.cross(normal, tangents)
        return direction @ steer.key_place[:, None].transpose(-2, -1)


def fused_is_faster(q: Tensor, dropout: bool) -> bool:
    """Whether to use torch's fused attention; `benchmarks/model.py --only fused` measures it.

    On a CPU the fused kernel has no backward pass of its own and no dropout: in training the
    written-out products are faster. On other devices it saves the memory of the weights.

    Args:
        q: Queries (blocks, heads, tokens, channels).
        dropout: Whether weights are dropped.
    """
    if q.device.type != "cpu":
        # torch's memory-efficient kernel draws no dropout for more blocks than that.
        return not (dropout and q.shape[0] * q.shape[1] > 65535)
    return not (dropout or torch.is_grad_enabled())


def _fused(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, mask: Tensor | None, dropout: float
) -> Tensor:
    """Attention by torch's fused kernels; the masked last blocks are called for by themselves."""
    if mask is not None:
        free = q.shape[1] - mask.shape[0]
        last_bias = mask if bias is None else (bias[-mask.shape[0] :] + mask)
        last = _fused(q[:, free:], k[:, free:], v[:, free:], last_bias, None, dropout)
        if not free:
            return last
        bias = bias if bias is None or len(bias) == 1 else bias[:free]
        first = _fused(q[:, :free], k[:, :free], v[:, :free], bias, None, dropout)
        return torch.cat([first, last], dim=1)
    batch, blocks = q.shape[:2]
    if bias is not None:
        bias = bias.to(q.dtype)
        if len(bias) > 1 and batch > 1:
            bias = bias.expand(batch, *bias.shape).flatten(0, 1)
    q, k, v = (t.flatten(0, 1) for t in (q, k, v))
    mixed = functional.scaled_dot_product_attention(
        q, k, v, attn_mask=bias, dropout_p=dropout, scale=1.0
    )
    return mixed.unflatten(0, (batch, blocks))


def _tangents(weights: Tensor, charge: Tensor, key_charge: Tensor, steer: Steer) -> Tensor:
    """u_i = Proj_i sum_j attention_ij (s_j - s_i) (p_j - p_i) / a, (batch, blocks, q, heads, 3)."""
    here = steer.place[:, None]  # (blocks, 1, q, 3)
    there = steer.key_place[:, None].to(weights.dtype)  # (blocks, 1, k, 3)
    s_here, s_there = (
        s.to(weights.dtype).transpose(2, 3).unsqueeze(-1) for s in (charge, key_charge)
    )
    values = [s_there * there, there.expand(*s_there.shape[:-1], 3), s_there]
    moment, mean, total = (weights @ torch.cat(values, dim=-1)).split([3, 3, 1], dim=-1)
    vector = moment - s_here * mean - here * (total - s_here)
    normal = steer.normal[:, None]
    vector = vector - normal * (normal * vector).sum(dim=-1, keepdim=True)
    return vector.transpose(2, 3)


def _norm(x: Tensor) -> Tensor:
    """Length of the last axis, at least in float32."""
    dtype = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else None
    # Added, where timm takes the maximum: the gradient of a sum costs nothing.
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=dtype) + _SMALLEST_NORM


def _device_type(module: nn.Module) -> str:
    """Device type of a module's parameters."""
    return next(module.parameters()).device.type


def _state(module: nn.Module) -> list[Tensor]:
    """Copies of a module's parameters, to see whether they have changed."""
    return [p.detach().clone() for p in module.parameters()]


def _same(one: Tensor, other: Tensor) -> bool:
    alike = one.dtype == other.dtype and one.device == other.device
    return alike and torch.equal(one, other)
