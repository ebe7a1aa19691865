"""Baselines on the sphere beside HEAL-SWIN: spherical CNNs and augmented planar CNNs."""
