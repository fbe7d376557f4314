"""AdamW by torch's functional form.

The first call of any ``torch.optim.Optimizer`` imports the compiler (``torch._dynamo``), which
takes longer than torch itself. The arithmetic is torch's own fused kernel, by the functional form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.optim.adamw import adamw

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

_BETAS, _EPS = (0.9, 0.999), 1e-8  # torch's defaults


class AdamW:
    """Loshchilov and Hutter, "Decoupled weight decay regularization" (ICLR 2019).

    Equal to ``torch.optim.AdamW(parameters, weight_decay=..., fused=True)``, bit for bit.

    Parameters
    ----------
    parameters : iterable of Parameter
        To be learnt; those without a gradient are left alone.
    lr : float
        Learning rate; also ``param_groups[0]["lr"]``, to be changed between steps.
    weight_decay : float
        Share of each weight, times the rate, that is taken off at each step.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float = 1e-3, weight_decay: float = 1e-4
    ) -> None:
        self._parameters = list(parameters)
        # The name that torch's GradScaler looks for.
        self.param_groups: list[dict[str, Any]] = [
            {"params": self._parameters, "lr": lr, "weight_decay": weight_decay}
        ]
        self.state: dict[int, dict[str, torch.Tensor]] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Take one optimiser step."""
        learnt = [i for i, p in enumerate(self._parameters) if p.grad is not None]
        for i in learnt:
            if i not in self.state:
                parameter = self._parameters[i]
                self.state[i] = {
                    "step": torch.zeros((), device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        (group,) = self.param_groups
        moments = [self.state[i] for i in learnt]
        adamw(
            [self._parameters[i] for i in learnt],
            [g for i in learnt if (g := self._parameters[i].grad) is not None],
            [m["exp_avg"] for m in moments],
            [m["exp_avg_sq"] for m in moments],
            [],
            [m["step"] for m in moments],
            fused=True,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=_EPS,
            maximize=False,
        )

    def zero_grad(self) -> None:
        """Clear the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return moments and step counts by the parameters' positions."""
        return {"state": {i: dict(moments) for i, moments in self.state.items()}}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.state = {
            i: {name: value.to(self._parameters[i].device) for name, value in moments.items()}
            for i, moments in saved["state"].items()
        }
