"""Exercise 6.4, merge."""
import copy

import torch
from torch import nn
from torch.nn import functional as F


def precise(tensor):
    """float32, or float64 for a float64 tensor."""
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))


def update(layer):
    """What the adapter adds to the weight, [out, in]."""
    return layer.scaling * (precise(layer.B) @ precise(layer.A))


def plain(base, weight, bias="of the base"):
    """A linear layer with this weight, in the base's dtype, and the base's bias or another."""
    bias = base.bias if isinstance(bias, str) else bias
    options = {"dtype": base.weight.dtype, "device": base.weight.device}
    merged = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, **options)
    with torch.no_grad():
        merged.weight.copy_(weight)
        if bias is not None:
            merged.bias.copy_(bias)
    return merged


# ------------------------------------------------------------------------------------------------- what is added

def wrong_merge__no_scaling(layer):
    """Adds B A as it is.

    message: scaling
    message: alpha
    """
    return plain(layer.base, precise(layer.base.weight) + precise(layer.B) @ precise(layer.A))


def wrong_merge__scaling_of_the_defaults(layer):
    """Takes 16 / 8 = 2 for the scaling.

    message: scaling
    message: alpha
    """
    return plain(layer.base, precise(layer.base.weight) + 2 * (precise(layer.B) @ precise(layer.A)))


def wrong_merge__scaled_at_both_matrices(layer):
    """Scales A and scales B: the scaling squared.

    message: scaling
    message: twice
    message: alpha
    """
    return plain(layer.base, precise(layer.base.weight) + layer.scaling * update(layer))


def wrong_merge__divided_by_r_again(layer):
    """The scaling holds alpha / r already; here it is divided by r once more.

    message: scaling
    message: alpha
    """
    return plain(layer.base, precise(layer.base.weight) + update(layer) / len(layer.A))


def wrong_merge__base_scaled_too(layer):
    """A bracket too many.

    message: scaling
    message: base
    """
    whole = layer.scaling * (precise(layer.base.weight) + precise(layer.B) @ precise(layer.A))
    return plain(layer.base, whole)


def wrong_merge__twice(layer):
    """The update is in the sum, and is added once more.

    message: twice
    """
    merged = precise(layer.base.weight) + update(layer)
    merged += update(layer)
    return plain(layer.base, merged)


def wrong_merge__subtracted(layer):
    """Takes the update out where it should go in.

    message: subtract
    message: sign
    message: minus
    message: add
    """
    return plain(layer.base, precise(layer.base.weight) - update(layer))


def wrong_merge__base_only(layer):
    """Returns the base as it was before the training.

    message: update
    message: base
    """
    return plain(layer.base, layer.base.weight)


def wrong_merge__update_only(layer):
    """Returns the update without the base's weight.

    message: base
    """
    return plain(layer.base, update(layer))


def wrong_merge__A_before_B(layer):
    """Aᵀ Bᵀ is [in, out]: stops, or with a square layer goes wrong unnoticed.

    message: B @ A
    message: B A
    message: transpose
    message: order
    message: stopped with RuntimeError
    """
    turned = layer.scaling * (precise(layer.A).T @ precise(layer.B).T)
    return plain(layer.base, precise(layer.base.weight) + turned)


def wrong_merge__A_times_B(layer):
    """A @ B is [r, r], if it is anything.

    message: B @ A
    message: B A
    message: transpose
    message: order
    message: stopped with RuntimeError
    """
    return plain(layer.base, precise(layer.base.weight) + layer.scaling * (precise(layer.A) @ precise(layer.B)))


def wrong_merge__square_turned(layer):
    """Turns the update when it fits, and so does not notice for square layers.

    message: B @ A
    message: B A
    message: transpose
    message: order
    """
    delta = update(layer)
    return plain(layer.base, precise(layer.base.weight) + (delta.T if delta.shape[0] == delta.shape[1] else delta))


def wrong_merge__weight_transposed(layer):
    """A linear layer from out to in.

    message: transpose
    message: shape
    message: [out, in]
    message: in_features
    """
    merged = nn.Linear(layer.base.out_features, layer.base.in_features, dtype=layer.base.weight.dtype)
    merged.weight.data = (precise(layer.base.weight) + update(layer)).T.to(layer.base.weight.dtype).contiguous()
    return merged


# ------------------------------------------------------------------------------------------------------ the bias

def wrong_merge__bias_lost(layer):
    """The merged layer has no bias.

    message: bias
    """
    return plain(layer.base, precise(layer.base.weight) + update(layer), None)


def wrong_merge__bias_not_copied(layer):
    """The merged layer has a bias as it was drawn.

    message: bias
    """
    merged = nn.Linear(layer.base.in_features, layer.base.out_features, layer.base.bias is not None,
                       dtype=layer.base.weight.dtype)
    merged.weight.data = (precise(layer.base.weight) + update(layer)).to(layer.base.weight.dtype)
    return merged


def wrong_merge__bias_always(layer):
    """Gives the merged layer a bias, as it was drawn, when the base has none.

    message: bias
    """
    merged = nn.Linear(layer.base.in_features, layer.base.out_features, dtype=layer.base.weight.dtype)
    with torch.no_grad():
        merged.weight.copy_(precise(layer.base.weight) + update(layer))
        if layer.base.bias is not None:
            merged.bias.copy_(layer.base.bias)
    return merged


def wrong_merge__bias_needed(layer):
    """Stops when the base has no bias.

    message: bias
    """
    return plain(layer.base, precise(layer.base.weight) + update(layer), layer.base.bias.detach())


def wrong_merge__bias_scaled(layer):
    """The bias is scaled with the update.

    message: bias
    """
    bias = None if layer.base.bias is None else layer.base.bias.detach() * (1 + layer.scaling)
    return plain(layer.base, precise(layer.base.weight) + update(layer), bias)


# ------------------------------------------------------------------------------------------ the layer is changed

def wrong_merge__in_place(layer):
    """Writes into the base and returns it: the layer counts its update twice from now on.

    message: changes
    message: unchanged
    message: in place
    message: copy
    message: base
    """
    with torch.no_grad():
        layer.base.weight.copy_(precise(layer.base.weight) + update(layer))
    return layer.base


def wrong_merge__copied_afterwards(layer):
    """Writes into the base and returns a copy of it: too late.

    message: changes
    message: unchanged
    message: in place
    message: copy
    """
    layer.base.weight.data += update(layer)
    return copy.deepcopy(layer.base)


def wrong_merge__weight_shared(layer):
    """A new layer that holds the base's own weight, and adds to it.

    message: changes
    message: unchanged
    message: in place
    message: copy
    message: share
    """
    merged = plain(layer.base, layer.base.weight)
    merged.weight = layer.base.weight
    merged.weight.data.add_(update(layer))
    return merged


def wrong_merge__shallow_copy(layer):
    """copy.copy copies the module and not its parameters.

    message: changes
    message: unchanged
    message: in place
    message: deepcopy
    message: copy
    message: share
    """
    merged = copy.copy(layer.base)
    with torch.no_grad():
        merged.weight.add_(update(layer))
    return merged


def wrong_merge__matrices_cleared(layer):
    """Sets B to zero, so that nothing counts twice: what was trained is lost.

    message: changes
    message: unchanged
    """
    merged = plain(layer.base, precise(layer.base.weight) + update(layer))
    layer.B.data.zero_()
    return merged


def wrong_merge__A_scaled_in_place(layer):
    """Scales A where it stands: the next merge scales once more.

    message: changes
    message: unchanged
    """
    layer.A.data.mul_(layer.scaling)
    return plain(layer.base, precise(layer.base.weight) + precise(layer.B) @ precise(layer.A))


def wrong_merge__left_in_eval_mode(layer):
    """Puts the layer into eval mode for a moment, and leaves it there.

    message: eval
    message: mode
    message: changes
    message: unchanged
    """
    layer.eval()
    return plain(layer.base, precise(layer.base.weight) + update(layer))


def wrong_merge__left_in_double(layer):
    """module.double() works in place: the layer's own matrices are float64 from now on.

    message: dtype
    message: changes
    message: unchanged
    """
    kind = layer.base.weight.dtype
    layer.double()
    return plain(layer.base, precise(layer.base.weight) + update(layer)).to(kind)


def wrong_merge__base_thawed(layer):
    """Thaws the layer's base, as the merged one is to be trained on.

    message: frozen
    message: requires_grad
    message: changes
    message: unchanged
    """
    layer.base.requires_grad_(True)
    return plain(layer.base, precise(layer.base.weight) + update(layer))


# --------------------------------------------------------------------------------------------------------- dtype

def wrong_merge__sum_in_half_precision(layer):
    """Multiplies and adds in the base's dtype.

    message: float32
    message: precision
    """
    base = layer.base
    with torch.no_grad():
        return plain(base, base.weight + layer.scaling * (layer.B @ layer.A))


def wrong_merge__product_in_half_precision(layer):
    """Adds in float32 what was multiplied in the base's dtype.

    message: float32
    message: precision
    """
    with torch.no_grad():
        return plain(layer.base, precise(layer.base.weight) + precise(layer.scaling * (layer.B @ layer.A)))


def wrong_merge__rounded_before_the_sum(layer):
    """Multiplies in float32, rounds to the base's dtype, then adds.

    message: float32
    message: precision
    message: round
    """
    kind = layer.base.weight.dtype
    return plain(layer.base, layer.base.weight.detach() + update(layer).to(kind))


def wrong_merge__float32(layer):
    """The merged layer stays in float32.

    message: dtype
    message: float32
    """
    return plain(layer.base, precise(layer.base.weight) + update(layer)).float()


def wrong_merge__bfloat16_always(layer):
    """The merged layer is in bfloat16 whatever the base is in.

    message: dtype
    message: bfloat16
    message: precision
    """
    return plain(layer.base, precise(layer.base.weight) + update(layer)).bfloat16()


def wrong_merge__mixed(layer):
    """A float32 weight beside a bias in the base's dtype.

    message: dtype
    message: float32
    """
    merged = plain(layer.base, layer.base.weight)
    merged.weight = nn.Parameter(precise(layer.base.weight) + update(layer))
    return merged


# --------------------------------------------------------------------------------------------- through the layer

def wrong_merge__identity_with_bias(layer):
    """What the layer makes of the identity, with the bias still in it.

    message: bias
    """
    whole = copy.deepcopy(layer).double().eval()
    with torch.no_grad():
        return plain(layer.base, whole(torch.eye(layer.base.in_features, dtype=torch.float64)).T)


def wrong_merge__identity_under_dropout(layer):
    """The identity goes through the layer with its dropout on.

    message: dropout
    message: training
    """
    whole = copy.deepcopy(layer).double()
    with torch.no_grad():
        eye = torch.eye(layer.base.in_features, dtype=torch.float64)
        return plain(layer.base, (whole(eye) - whole.base(0 * eye)).T)


# ---------------------------------------------------------------------------------------------- what is returned

def wrong_merge__lora_linear(layer):
    """The merged base inside a new LoRALinear: it computes the same at the old cost.

    message: nn.Linear
    message: LoRALinear
    """
    merged = copy.deepcopy(layer)
    merged.base = plain(layer.base, precise(layer.base.weight) + update(layer)).requires_grad_(False)
    nn.init.zeros_(merged.B)
    return merged


def wrong_merge__same_layer(layer):
    """Returns the layer itself, which does compute the right thing.

    message: nn.Linear
    message: LoRALinear
    """
    return layer


def wrong_merge__weight(layer):
    """Returns the weight.

    message: nn.Linear
    message: Tensor
    message: tensor
    """
    return (precise(layer.base.weight) + update(layer)).to(layer.base.weight.dtype)


def wrong_merge__function(layer):
    """Returns a function that computes the right thing.

    message: nn.Linear
    message: function
    """
    merged = plain(layer.base, precise(layer.base.weight) + update(layer))
    return lambda x: F.linear(x, merged.weight, merged.bias)


def wrong_merge__sequential(layer):
    """The merged layer in an nn.Sequential.

    message: nn.Linear
    message: Sequential
    """
    return nn.Sequential(plain(layer.base, precise(layer.base.weight) + update(layer)))


def wrong_merge__nothing(layer):
    """Forgets the return.

    message: is the line with 'return' missing?
    message: returns None
    """
    plain(layer.base, precise(layer.base.weight) + update(layer))


# --------------------------------------------------------------------------------------------------------- right

def right_merge__copied_into_a_new_layer(layer):
    return plain(layer.base, precise(layer.base.weight) + update(layer))


def right_merge__deep_copy(layer):
    """A copy of the base, its weight replaced; it stays frozen."""
    merged = copy.deepcopy(layer.base)
    delta = layer.scaling * layer.B.double() @ layer.A.double()
    merged.weight.data = (layer.base.weight.double() + delta).to(merged.weight.dtype)
    return merged


def right_merge__new_parameters(layer):
    """Parameters made from an expression, and a graph that nn.Parameter leaves behind."""
    base = layer.base
    merged = nn.Linear(base.in_features, base.out_features, bias=base.bias is not None)
    delta = torch.einsum("or,ri->oi", layer.B.double(), layer.A.double()).mul(layer.scaling)
    merged.weight = nn.Parameter((base.weight.double() + delta).to(base.weight.dtype))
    if base.bias is not None:
        merged.bias = nn.Parameter(base.bias.clone())
    return merged


def right_merge__identity(layer):
    """What a float64 copy in eval mode makes of the identity, less what it makes of zeros."""
    whole = copy.deepcopy(layer).double().eval()
    eye = torch.eye(layer.base.in_features, dtype=torch.float64, device=layer.base.weight.device)
    merged = copy.deepcopy(layer.base)
    with torch.no_grad():
        merged.weight.copy_((whole(eye) - whole(torch.zeros_like(eye))).T)
    return merged


@torch.no_grad()
def right_merge__rank_by_rank(layer):
    """Adds one outer product after the other, the small ones first."""
    kind = torch.promote_types(layer.base.weight.dtype, torch.float32)
    delta = torch.zeros(layer.base.out_features, layer.base.in_features, dtype=kind, device=layer.A.device)
    for row, column in zip(layer.A.to(kind), layer.B.to(kind).T):
        delta += torch.outer(column, row)
    merged = nn.Linear(layer.base.in_features, layer.base.out_features, layer.base.bias is not None,
                       dtype=layer.base.weight.dtype, device=layer.base.weight.device)
    state = {name: tensor.clone() for name, tensor in layer.base.state_dict().items()}
    state["weight"] = torch.add(state["weight"].to(kind), delta, alpha=layer.scaling).to(layer.base.weight.dtype)
    merged.load_state_dict(state)
    return merged


def right_merge__baddbmm(layer):
    """addmm does the product, the scaling and the sum in one."""
    weight = torch.addmm(precise(layer.base.weight), precise(layer.B), precise(layer.A), alpha=layer.scaling)
    return plain(layer.base, weight)
