"""Schedules of the learning rate that torch.optim.lr_scheduler has no configuration for."""

from __future__ import annotations

from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler, SequentialLR


class WarmUp(SequentialLR):
    """The learning rate rises linearly to its value, then another schedule begins.

    Gradual warm-up (Goyal et al. 2017, arXiv 1706.02677, section 2.2): at step k < steps the rate
    is lr (start + (1 - start) k / steps), and step `steps` is the first one of the other schedule.
    The task's `lr_interval` says whether these are epochs or steps of the optimizer. In a
    configuration:

        lr_scheduler:
          class_path: healswin.tasks.WarmUp
          init_args:
            steps: 5
            then:
              class_path: torch.optim.lr_scheduler.CosineAnnealingLR
              init_args: {T_max: 95}

    Args:
        optimizer: Whose rate it is.
        steps: Length of the warm-up, at least 1.
        then: Makes the schedule that follows; its T_max, if it has one, counts from the end of the
            warm-up.
        start: Part of the rate at step 0, above 0 and at most 1.

    Raises:
        ValueError: If steps or start are out of range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps: int,
        then: Callable[[Optimizer], LRScheduler],
        start: float = 0.01,
    ) -> None:
        if steps < 1:
            raise ValueError(f"steps={steps} must be at least 1")
        if not 0 < start <= 1:
            raise ValueError(f"start={start} must be above 0 and at most 1")
        rise = LinearLR(optimizer, start_factor=start, total_iters=steps)
        super().__init__(optimizer, [rise, then(optimizer)], milestones=[steps])
