"""Checks of the arguments that the spherical and the flat transformer have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral


def check_count(name: str, value: int) -> None:
    """Refuse what is no whole number of at least 1.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name}={value} must be a whole number of at least 1")


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuse what is not among the choices.

    Raises:
        ValueError: If it is not.
    """
    if value not in choices:
        raise ValueError(f"{name}={value!r} must be one of {tuple(choices)}")


def check_stages(embed_dim: int, depths: Sequence[int], num_heads: Sequence[int]) -> None:
    """Refuse stages that cannot be: stage i has embed_dim 2^i channels in num_heads[i] heads.

    Raises:
        ValueError: If the lists differ in length, are empty, or heads do not divide channels.
    """
    for name, entries in {"depths": depths, "num_heads": num_heads}.items():
        if not isinstance(entries, Sequence) or not all(isinstance(n, int) for n in entries):
            raise ValueError(f"{name}={entries!r} must be a list of whole numbers, one a stage")
    if len(depths) != len(num_heads) or not depths or min(depths) < 1:
        raise ValueError(
            f"depths={list(depths)} and num_heads={list(num_heads)} must have one entry of at "
            "least 1 for every stage"
        )
    if min(num_heads) < 1:
        raise ValueError(f"num_heads={list(num_heads)} must be at least 1 each")
    for i, heads in enumerate(num_heads):
        if embed_dim * 2**i % heads:
            raise ValueError(
                f"num_heads={list(num_heads)}: {heads} must divide the {embed_dim * 2**i} "
                f"channels of stage {i}"
            )


def check_rates(rates: Mapping[str, float], mlp_ratio: float) -> None:
    """Refuse probabilities outside [0, 1), and MLPs without hidden channels.

    Raises:
        ValueError: If one is.
    """
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(f"{name}={rate} must lie in [0, 1)")
    if mlp_ratio <= 0:
        raise ValueError(f"mlp_ratio={mlp_ratio} must be above 0")
