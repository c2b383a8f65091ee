"""LoRA from its parts: a frozen linear layer plus a trainable product of two thin matrices."""
import math

import torch
import torch.nn.functional as F
from torch import nn


class LoRALinear(nn.Module):
    """A frozen linear layer with a low-rank update beside it: ``base(x) + alpha / r · dropout(x) Aᵀ Bᵀ``.

    A (r × in) reads the input, B (out × r) writes the output. B starts at zero, so a new adapter changes nothing; A starts
    random, because with both at zero neither would ever get a gradient.

    Parameters
    ----------
    base : nn.Linear
        Frozen here, and kept as it is.
    r : int
        Rank of the update, at least 1.
    alpha : float
        The update is scaled by ``alpha / r``.
    dropout : float
        On the input of the branch only, in training only.

    Raises
    ------
    ValueError
        If ``r`` is below 1.

    Source: Hu et al. 2022, ICLR, "LoRA: low-rank adaptation of large language models"; initialised as in peft.
    """

    def __init__(self, base, r=8, alpha=16, dropout=0.0):
        super().__init__()
        if r < 1:
            raise ValueError(f"the rank r is {r}: an update needs a rank of at least 1")
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.empty(r, base.in_features, dtype=base.weight.dtype, device=base.weight.device))
        self.B = nn.Parameter(self.A.new_zeros(base.out_features, r))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.dropout, self.scaling = nn.Dropout(dropout), alpha / r

    def forward(self, x):
        """[…, in] → […, out]."""
        return self.base(x) + self.scaling * F.linear(F.linear(self.dropout(x), self.A), self.B)


def inject_lora(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Wrap every ``nn.Linear`` that is called like a target, and freeze everything but the A and B matrices.

    Parameters
    ----------
    model : nn.Module
        Changed in place. Its head is frozen as well: to train it is a separate step.
    targets : sequence of str
        Last parts of module names, whole: "query" stands for "esm.encoder.layer.0.attention.self.query", not for "subquery".
    r, alpha
        As in :class:`LoRALinear`.

    Returns
    -------
    the same model

    Raises
    ------
    ValueError
        If no linear layer has one of these names.
    """
    chosen = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and name.split(".")[-1] in targets]
    if not chosen:
        raise ValueError(f"the model has no linear layer called {' or '.join(targets)}")
    model.requires_grad_(False)
    for name in chosen:
        parent, _, last = name.rpartition(".")
        owner = model.get_submodule(parent)
        setattr(owner, last, LoRALinear(getattr(owner, last), r, alpha))
    return model


def merge(layer):
    """Fold the update into the weights: a plain linear layer that computes the same at no extra cost.

    Parameters
    ----------
    layer : LoRALinear
        Unchanged, so that nothing is lost by merging.

    Returns
    -------
    nn.Linear
        In the dtype and on the device of ``layer.base``; the sum is taken in float32 or better.
    """
    base = layer.base
    precise = torch.promote_types(base.weight.dtype, torch.float32)
    merged = nn.Linear(base.in_features, base.out_features, bias=base.bias is not None, dtype=base.weight.dtype,
                       device=base.weight.device)
    with torch.no_grad():
        merged.weight.copy_(base.weight.to(precise) + layer.scaling * (layer.B.to(precise) @ layer.A.to(precise)))
        if base.bias is not None:
            merged.bias.copy_(base.bias)
    return merged


def lora_parameters(config, targets=("query", "key", "value"), r=8, num_labels=2):
    """Trainable parameters of LoRA on ESM-2 with transformers' sequence classification head, counted without a model.

    Parameters
    ----------
    config : transformers.EsmConfig, or anything with hidden_size, intermediate_size and num_hidden_layers
    targets : sequence of str
        "query", "key", "value", and "dense": the three other linear layers of each block.
    r, num_labels : int

    Returns
    -------
    int
        r · (in + out) for each wrapped layer, and the head once: a dim × dim layer and one of dim × labels, with biases.

    Raises
    ------
    ValueError
        For a target that ESM-2 does not have.
    """
    dim, wide = config.hidden_size, config.intermediate_size
    square = [(dim, dim)]
    shapes = {"query": square, "key": square, "value": square, "dense": [(dim, dim), (dim, wide), (wide, dim)]}
    if unknown := set(targets) - set(shapes):
        raise ValueError(f"ESM-2 has no linear layer called {', '.join(sorted(unknown))}; it has {', '.join(shapes)}")
    adapters = sum(r * (fan_in + fan_out) for target in set(targets) for fan_in, fan_out in shapes[target])
    head = dim * dim + dim + dim * num_labels + num_labels
    return config.num_hidden_layers * adapters + head
