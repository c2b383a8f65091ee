"""Exercise 6.2, inject_lora."""
import copy

import torch
from torch import nn

from plmcourse.lora import LoRALinear


def last(name):
    """ "query" of "esm.encoder.layer.0.attention.self.query" """
    return name.split(".")[-1]


def named_linears(model):
    """Names of all linear layers, in a list: the model may change afterwards."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def find(model, targets):
    """Names of the layers to wrap; ValueError when there are none."""
    chosen = [name for name in named_linears(model) if last(name) in targets]
    return some(chosen, targets)


def some(chosen, targets):
    if not chosen:
        raise ValueError(f"no linear layer is called {targets}")
    return chosen


def put(model, name, new):
    """Put a module where the one of that name is."""
    parent = model.get_submodule(name.rpartition(".")[0])
    setattr(parent, last(name), new)


def wrap(model, names, r, alpha):
    """Wrap the layers of these names."""
    for name in names:
        put(model, name, LoRALinear(model.get_submodule(name), r, alpha))
    return model


# ------------------------------------------------------------------------------------ what is trained afterwards

def wrong_inject_lora__rest_not_frozen(model, targets=("query", "key", "value"), r=8, alpha=16):
    """The lecture's trap: LoRALinear freezes what it wraps, and all other layers train on.

    message: frozen
    message: freeze
    """
    return wrap(model, find(model, targets), r, alpha)


def wrong_inject_lora__freezes_modules(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Sets an attribute of the modules, which no parameter takes notice of.

    message: frozen
    message: freeze
    """
    for module in model.modules():
        module.requires_grad = False
    return wrap(model, find(model, targets), r, alpha)


def wrong_inject_lora__eval_for_frozen(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Takes eval mode for freezing.

    message: frozen
    message: freeze
    """
    model.eval()
    return wrap(model, find(model, targets), r, alpha)


def wrong_inject_lora__head_trainable(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Leaves the head trainable: sensible later, but a step of its own.

    message: head
    message: frozen
    """
    names = find(model, targets)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "head" in name or "classifier" in name
    return wrap(model, names, r, alpha)


def wrong_inject_lora__only_linear_layers_frozen(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Freezes the linear layers: embeddings and LayerNorms train on.

    message: frozen
    message: freeze
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.requires_grad_(False)
    return wrap(model, find(model, targets), r, alpha)


def wrong_inject_lora__only_weights_frozen(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Freezes what is called weight: the biases train on, as in BitFit.

    message: bias
    message: frozen
    """
    names = find(model, targets)
    for name, parameter in model.named_parameters():
        if last(name) == "weight":
            parameter.requires_grad = False
    return wrap(model, names, r, alpha)


def wrong_inject_lora__direct_parameters_frozen(model, targets=("query", "key", "value"), r=8, alpha=16):
    """parameters(recurse=False): only those that hang on the model itself, which are mostly none.

    message: frozen
    message: freeze
    """
    for parameter in model.parameters(recurse=False):
        parameter.requires_grad = False
    return wrap(model, find(model, targets), r, alpha)


def wrong_inject_lora__frozen_afterwards(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Freezes when all is wrapped, A and B with it: nothing trains.

    message: A and B
    message: nothing
    message: no parameter
    """
    return wrap(model, find(model, targets), r, alpha).requires_grad_(False)


def wrong_inject_lora__looks_for_lora_in_the_names(model, targets=("query", "key", "value"), r=8, alpha=16):
    """The line from a script for peft: here no parameter has lora_ in its name.

    message: A and B
    message: nothing
    message: no parameter
    """
    wrap(model, find(model, targets), r, alpha)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "lora_" in name
    return model


def wrong_inject_lora__only_B(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Freezes all and thaws the B matrices: A stays as it was drawn.

    message: A and B
    message: A matri
    message: .A
    """
    wrap(model, find(model, targets), r, alpha)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = last(name) == "B"
    return model


def wrong_inject_lora__only_A(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Freezes all and thaws the A matrices: B stays at zero, and the model as it was.

    message: A and B
    message: B matri
    message: .B
    """
    wrap(model, find(model, targets), r, alpha)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = last(name) == "A"
    return model


def wrong_inject_lora__base_thawed(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Thaws the wrapped layers as a whole: their bases train along.

    message: base
    message: frozen
    """
    wrap(model.requires_grad_(False), find(model, targets), r, alpha)
    for module in model.modules():
        if isinstance(module, LoRALinear):
            module.requires_grad_(True)
    return model


def wrong_inject_lora__bias_of_the_base_thawed(model, targets=("query", "key", "value"), r=8, alpha=16):
    """peft's bias="lora_only": the biases of the wrapped layers train along.

    message: bias
    message: base
    message: frozen
    """
    wrap(model.requires_grad_(False), find(model, targets), r, alpha)
    for module in model.modules():
        if isinstance(module, LoRALinear) and module.base.bias is not None:
            module.base.bias.requires_grad = True
    return model


# --------------------------------------------------------------------------------------------- which are wrapped

def wrong_inject_lora__first_layer_only(model, targets=("query", "key", "value"), r=8, alpha=16):
    """A return inside the loop: one layer is wrapped.

    message: every
    message: all layers
    message: all of them
    message: only
    """
    model.requires_grad_(False)
    for name in find(model, targets):
        put(model, name, LoRALinear(model.get_submodule(name), r, alpha))
        return model


def wrong_inject_lora__last_layer_only(model, targets=("query", "key", "value"), r=8, alpha=16):
    """The line that wraps stands behind the loop.

    message: every
    message: all layers
    message: all of them
    message: only
    """
    model.requires_grad_(False)
    for name in find(model, targets):
        chosen = name
    put(model, chosen, LoRALinear(model.get_submodule(chosen), r, alpha))
    return model


def wrong_inject_lora__first_of_each_target(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Looks each target up once: the first block alone is wrapped.

    message: every
    message: all layers
    message: all of them
    message: only
    """
    names = find(model, targets)
    first = [next(name for name in names if last(name) == target) for target in targets
             if any(last(name) == target for name in names)]
    return wrap(model.requires_grad_(False), first, r, alpha)


def wrong_inject_lora__first_target_only(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Only the first target counts.

    message: target
    message: every
    message: only
    """
    return wrap(model.requires_grad_(False), find(model, targets[:1]), r, alpha)


def wrong_inject_lora__targets_ignored(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Always query, key and value.

    message: targets
    """
    return wrap(model.requires_grad_(False), find(model, ("query", "key", "value")), r, alpha)


def wrong_inject_lora__every_linear_layer(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Wraps all linear layers, as QLoRA does; the targets only decide about the error.

    message: target
    message: name
    """
    find(model, targets)
    return wrap(model.requires_grad_(False), named_linears(model), r, alpha)


def wrong_inject_lora__all_but_the_targets(model, targets=("query", "key", "value"), r=8, alpha=16):
    """A `not` too many.

    message: target
    message: name
    """
    find(model, targets)
    chosen = [name for name in named_linears(model) if last(name) not in targets]
    return wrap(model.requires_grad_(False), chosen, r, alpha)


def wrong_inject_lora__anywhere_in_the_name(model, targets=("query", "key", "value"), r=8, alpha=16):
    """`target in name`: "key" is found in "monkey", and "self" in all of the attention.

    message: last part
    message: part of
    message: name
    """
    chosen = some([name for name in named_linears(model) if any(target in name for target in targets)], targets)
    return wrap(model.requires_grad_(False), chosen, r, alpha)


def wrong_inject_lora__inside_the_last_part(model, targets=("query", "key", "value"), r=8, alpha=16):
    """`target in last part`: "key" is found in "key_norm".

    message: last part
    message: part of
    message: name
    """
    chosen = some([name for name in named_linears(model) if any(target in last(name) for target in targets)], targets)
    return wrap(model.requires_grad_(False), chosen, r, alpha)


def wrong_inject_lora__endswith(model, targets=("query", "key", "value"), r=8, alpha=16):
    """name.endswith(target): "monkey" ends in "key".

    message: last part
    message: part of
    message: whole
    message: name
    """
    chosen = some([name for name in named_linears(model) if name.endswith(tuple(targets))], targets)
    return wrap(model.requires_grad_(False), chosen, r, alpha)


def wrong_inject_lora__any_part_of_the_path(model, targets=("query", "key", "value"), r=8, alpha=16):
    """A target may be any part of the path: "attention" wraps all layers of the attention.

    message: last part
    message: part of
    message: name
    """
    chosen = some([name for name in named_linears(model) if set(name.split(".")) & set(targets)], targets)
    return wrap(model.requires_grad_(False), chosen, r, alpha)


def wrong_inject_lora__full_name(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Compares full names: nothing deeper down is found.

    message: last part
    message: part of
    message: no linear layer
    message: stopped with ValueError
    """
    chosen = some([name for name in named_linears(model) if name in targets], targets)
    return wrap(model.requires_grad_(False), chosen, r, alpha)


def wrong_inject_lora__children_only(model, targets=("query", "key", "value"), r=8, alpha=16):
    """named_children() does not look into the blocks.

    message: named_modules
    message: nested
    message: deeper
    message: inside
    message: stopped with ValueError
    """
    children = [name for name, child in model.named_children() if isinstance(child, nn.Linear)]
    chosen = some([name for name in children if name in targets], targets)
    return wrap(model.requires_grad_(False), chosen, r, alpha)


def wrong_inject_lora__not_at_the_top(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Splits each name at its last dot: a layer that hangs on the model itself has none and is left out.

    message: top
    message: directly
    message: itself
    message: every
    message: no linear layer
    """
    names = some([name for name in find(model, targets) if "." in name], targets)
    return wrap(model.requires_grad_(False), names, r, alpha)


def wrong_inject_lora__other_kinds_of_modules(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Does not look whether the module is a linear layer: an embedding or a LayerNorm of that name is taken for one.

    message: Linear
    message: linear
    """
    chosen = some([name for name, _ in model.named_modules() if last(name) in targets], targets)
    return wrap(model.requires_grad_(False), chosen, r, alpha)


def wrong_inject_lora__wrapped_again_for_each_target(model, targets=("query", "key", "value"), r=8, alpha=16):
    """One round for each target, each looking for all of them anywhere in the name: the second wraps the bases again.

    message: base
    message: again
    message: twice
    message: inside
    """
    find(model, targets)
    for _ in targets:
        chosen = [name for name in named_linears(model) if set(name.split(".")) & set(targets)]
        wrap(model.requires_grad_(False), chosen, r, alpha)
    for module in model.modules():
        if isinstance(module, LoRALinear):
            module.A.requires_grad, module.B.requires_grad = True, True
    return model


# -------------------------------------------------------------------------------------- what they are wrapped in

def wrong_inject_lora__copy(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Works on a copy: the caller's model is as it was.

    message: in place
    message: same model
    message: copy
    """
    model = copy.deepcopy(model)
    return wrap(model.requires_grad_(False), find(model, targets), r, alpha)


def wrong_inject_lora__changes_the_model_returns_a_copy(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Changes the model and returns a copy of it: what trains is not what the caller holds.

    message: same model
    message: copy
    message: in place
    """
    return copy.deepcopy(wrap(model.requires_grad_(False), find(model, targets), r, alpha))


def wrong_inject_lora__returns_names(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Returns the names of what was wrapped.

    message: return
    message: same model
    """
    names = find(model, targets)
    wrap(model.requires_grad_(False), names, r, alpha)
    return names


def wrong_inject_lora__nothing(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Forgets the return.

    message: is the line with 'return' missing?
    message: returns None
    """
    wrap(model.requires_grad_(False), find(model, targets), r, alpha)


def wrong_inject_lora__r_ignored(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Always rank 8.

    message: rank
    message: r=
    message: r =
    """
    return wrap(model.requires_grad_(False), find(model, targets), 8, alpha)


def wrong_inject_lora__alpha_ignored(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Always alpha 16.

    message: alpha
    """
    return wrap(model.requires_grad_(False), find(model, targets), r, 16)


def wrong_inject_lora__alpha_is_two_r(model, targets=("query", "key", "value"), r=8, alpha=16):
    """alpha is twice the rank, as a rule of thumb says.

    message: alpha
    """
    return wrap(model.requires_grad_(False), find(model, targets), r, 2 * r)


def wrong_inject_lora__r_and_alpha_exchanged(model, targets=("query", "key", "value"), r=8, alpha=16):
    """LoRALinear(layer, alpha, r).

    message: alpha
    message: rank
    message: exchanged
    message: swapped
    """
    return wrap(model.requires_grad_(False), find(model, targets), alpha, r)


def wrong_inject_lora__one_for_all(model, targets=("query", "key", "value"), r=8, alpha=16):
    """One LoRALinear, made from the first layer, stands in all places.

    message: its own
    message: of its own
    message: same
    message: share
    """
    names = find(model.requires_grad_(False), targets)
    adapter = LoRALinear(model.get_submodule(names[0]), r, alpha)
    for name in names:
        put(model, name, adapter)
    return model


def wrong_inject_lora__shared_matrices(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Each layer keeps its base, but layers of one shape share their A and B.

    message: its own
    message: of its own
    message: same
    message: share
    """
    names, first = find(model, targets), {}
    wrap(model.requires_grad_(False), names, r, alpha)
    for name in names:
        adapter = model.get_submodule(name)
        shared = first.setdefault(adapter.base.weight.shape, adapter)
        adapter.A, adapter.B = shared.A, shared.B
    return model


def wrong_inject_lora__new_layers(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Wraps new linear layers of the same size: what the model has learned is gone.

    message: base
    message: weight
    message: changes
    """
    for name in find(model.requires_grad_(False), targets):
        old = model.get_submodule(name)
        new = nn.Linear(old.in_features, old.out_features, bias=old.bias is not None, dtype=old.weight.dtype)
        put(model, name, LoRALinear(new, r, alpha))
    return model


def wrong_inject_lora__B_drawn(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Draws B as well: the model no longer computes what it did.

    message: zero
    message: output
    message: compute
    """
    wrap(model.requires_grad_(False), find(model, targets), r, alpha)
    for module in model.modules():
        if isinstance(module, LoRALinear):
            nn.init.normal_(module.B)
    return model


def wrong_inject_lora__dotted_attribute(model, targets=("query", "key", "value"), r=8, alpha=16):
    """setattr with the full name hangs the new layers on the model itself, where nothing calls them.

    message: parent
    message: setattr
    message: place
    message: still
    message: not wrapped
    """
    model.requires_grad_(False)
    for name in find(model, targets):
        setattr(model, name, LoRALinear(model.get_submodule(name), r, alpha))
    return model


def wrong_inject_lora__never_put_back(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Makes the new layers and leaves them in a variable.

    message: place
    message: wrapped
    message: wrap
    message: setattr
    """
    model.requires_grad_(False)
    for name in find(model, targets):
        module = model.get_submodule(name)
        module = LoRALinear(module, r, alpha)
    return model


def wrong_inject_lora__dtype_changed(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Takes the whole model to float32, as mixed-precision scripts do: seen in a bfloat16 model only.

    message: dtype
    message: bfloat16
    message: float32
    """
    return wrap(model.float().requires_grad_(False), find(model, targets), r, alpha)


# ------------------------------------------------------------------------------------------------- no such layer

def wrong_inject_lora__no_error(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Nothing is found, and nothing is said.

    message: ValueError
    """
    chosen = [name for name in named_linears(model) if last(name) in targets]
    return wrap(model.requires_grad_(False), chosen, r, alpha)


def wrong_inject_lora__prints(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Prints that nothing is found, and goes on.

    message: ValueError
    """
    chosen = [name for name in named_linears(model) if last(name) in targets]
    if not chosen:
        print("nothing found")
    return wrap(model.requires_grad_(False), chosen, r, alpha)


def wrong_inject_lora__key_error(model, targets=("query", "key", "value"), r=8, alpha=16):
    """A KeyError where a ValueError is asked for.

    message: ValueError
    """
    chosen = [name for name in named_linears(model) if last(name) in targets]
    if not chosen:
        raise KeyError(targets)
    return wrap(model.requires_grad_(False), chosen, r, alpha)


def wrong_inject_lora__any_module_will_do(model, targets=("query", "key", "value"), r=8, alpha=16):
    """No error when a module of that name is there, although none of them is a linear layer.

    message: ValueError
    """
    some([name for name, _ in model.named_modules() if last(name) in targets], targets)
    chosen = [name for name in named_linears(model) if last(name) in targets]
    return wrap(model.requires_grad_(False), chosen, r, alpha)


# --------------------------------------------------------------------------------------------------------- right

class OwnLoRALinear(nn.Module):
    """A student's own layer from the exercise before, no relative of the course's."""

    def __init__(self, base, r=8, alpha=16, dropout=0.0):
        super().__init__()
        if r < 1:
            raise ValueError(f"r is {r}")
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(r, base.in_features, device=base.weight.device).to(base.weight.dtype))
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        self.drop, self.scaling = nn.Dropout(dropout), alpha / r

    def forward(self, x):
        return self.base(x) + self.drop(x) @ self.A.T @ self.B.T * self.scaling


def right_inject_lora__list_of_names(model, targets=("query", "key", "value"), r=8, alpha=16):
    """First the names, then all frozen, then wrapped."""
    names = find(model, targets)
    return wrap(model.requires_grad_(False), names, r, alpha)


def right_inject_lora__recursion(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Walks down the tree, and does not go into what it has wrapped."""
    def visit(module):
        count = 0
        for name, child in module.named_children():
            if isinstance(child, nn.Linear) and name in targets:
                setattr(module, name, LoRALinear(child, r=r, alpha=alpha))
                count += 1
            else:
                count += visit(child)
        return count

    for parameter in model.parameters():
        parameter.requires_grad = False
    if visit(model) == 0:
        raise ValueError(f"{targets} fits no linear layer")
    return model


def right_inject_lora__frozen_at_the_end(model, targets=("query", "key", "value"), r=8, alpha=16):
    """Wraps first; then freezes all and thaws A and B."""
    adapters = []
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if name in set(targets) and isinstance(child, nn.Linear):
                adapters.append(LoRALinear(child, r, alpha))
                setattr(parent, name, adapters[-1])
    if len(adapters) == 0:
        raise ValueError("no layer to wrap")
    model.requires_grad_(False)
    for adapter in adapters:
        adapter.A.requires_grad_(True)
        adapter.B.requires_grad_(True)
    return model


def right_inject_lora__set_submodule(model, targets=("query", "key", "value"), r=8, alpha=16):
    """PyTorch's own way to replace a module by its name."""
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    linears = {name: module for name, module in linears.items() if any(f".{name}".endswith(f".{t}") for t in targets)}
    if not linears:
        raise ValueError(f"none of {', '.join(targets)} is a linear layer of this model")
    model.requires_grad_(False)
    for name, module in linears.items():
        model.set_submodule(name, LoRALinear(module, r, alpha))
    return model


def right_inject_lora__own_layer(model, targets=("query", "key", "value"), r=8, alpha=16):
    """With a student's own LoRALinear, and A and B known by their ids."""
    chosen = find(model, targets)
    for name in chosen:
        put(model, name, OwnLoRALinear(model.get_submodule(name), r, alpha))
    trained = {id(matrix) for name in chosen for matrix in (model.get_submodule(name).A, model.get_submodule(name).B)}
    for parameter in model.parameters():
        parameter.requires_grad = id(parameter) in trained
    return model
