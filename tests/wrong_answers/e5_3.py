"""Exercise 5.3, thaw."""
import copy
import re


def grad(parts, wanted):
    """Set requires_grad of all parameters of some modules."""
    for part in parts:
        for parameter in part.parameters():
            parameter.requires_grad = wanted


def refuse(model, last_n):
    """The ValueError that is asked for."""
    depth = len(model.backbone.encoder.layer)
    if last_n < 0 or last_n > depth:
        raise ValueError(f"last_n is {last_n}, the model has {depth} layers")


def wrong_thaw__counted_from_the_front(model, last_n):
    """layer[:last_n] are the first layers.

    message: first
    message: front
    message: last
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, *encoder.layer[:last_n]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__minus_zero(model, last_n):
    """layer[-0:] are all layers.

    message: -0
    message: frozen
    message: trainable
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, *encoder.layer[-last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__one_layer_too_many(model, last_n):
    """Off by one: a frozen backbone is right, any other number thaws one layer more.

    message: layer
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    if last_n:
        grad([*encoder.layer[max(len(encoder.layer) - last_n - 1, 0):], encoder.emb_layer_norm_after], True)
    grad([model.head], True)
    return model


def wrong_thaw__one_layer_too_few(model, last_n):
    """range(1, last_n) has one element less than it looks.

    message: layer
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head], True)
    for back in range(1, last_n):
        grad([encoder.layer[-back]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__shifted_by_one(model, last_n):
    """As many layers as asked for, but the very last one is not among them, since an index begins at 1.

    message: layer
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head], True)
    for back in range(last_n):
        grad([encoder.layer[-back - 2 if back + 2 <= len(encoder.layer) else 0]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__one_layer_only(model, last_n):
    """layer[-last_n] is one layer, the last but so many.

    message: layer
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head], True)
    if last_n:
        grad([encoder.layer[-last_n], encoder.emb_layer_norm_after], True)
    return model


def wrong_thaw__always_the_last_layer(model, last_n):
    """Thaws the last layer whatever the number.

    message: layer
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head], True)
    if last_n:
        grad([encoder.layer[-1], encoder.emb_layer_norm_after], True)
    return model


def wrong_thaw__counts_parameters(model, last_n):
    """The last so many weight tensors, not layers.

    message: layer
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    tensors = list(encoder.layer.parameters())
    for parameter in tensors[len(tensors) - last_n:]:
        parameter.requires_grad = True
    grad([model.head, *([encoder.emb_layer_norm_after] if last_n else [])], True)
    return model


def wrong_thaw__six_layers(model, last_n):
    """Counts from layer 6, the depth of the smallest ESM-2.

    message: layer
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, *encoder.layer[6 - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__only_attention(model, last_n):
    """Of each layer only the attention.

    message: layer
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    chosen = [layer.attention for layer in encoder.layer[len(encoder.layer) - last_n:]]
    grad([model.head, *chosen, *([encoder.emb_layer_norm_after] if last_n else [])], True)
    return model


def wrong_thaw__no_biases(model, last_n):
    """Of each layer only the weights.

    message: bias
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, *([encoder.emb_layer_norm_after] if last_n else [])], True)
    for layer in encoder.layer[len(encoder.layer) - last_n:]:
        for name, parameter in layer.named_parameters():
            parameter.requires_grad = name.endswith("weight")
    return model


def wrong_thaw__head_frozen(model, last_n):
    """Freezes everything and forgets the head.

    message: head
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    if last_n:
        grad([*encoder.layer[-last_n:], encoder.emb_layer_norm_after], True)
    return model


def wrong_thaw__head_frozen_at_zero(model, last_n):
    """Returns early when the backbone stays frozen: so does the head.

    message: head
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    if last_n == 0:
        return model
    grad([model.head, *encoder.layer[-last_n:], encoder.emb_layer_norm_after], True)
    return model


def wrong_thaw__head_left_alone(model, last_n):
    """Freezes the backbone only: a head that was frozen before stays frozen.

    message: head
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model.backbone], False)
    if last_n:
        grad([*encoder.layer[-last_n:], encoder.emb_layer_norm_after], True)
    return model


def wrong_thaw__no_final_norm(model, last_n):
    """The final LayerNorm stays frozen.

    message: LayerNorm
    message: emb_layer_norm_after
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    return model


def wrong_thaw__final_norm_always(model, last_n):
    """The final LayerNorm is trained even when the backbone should be frozen.

    message: LayerNorm
    message: emb_layer_norm_after
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, encoder.emb_layer_norm_after, *encoder.layer[len(encoder.layer) - last_n:]], True)
    return model


def wrong_thaw__final_norm_with_all_layers(model, last_n):
    """The final LayerNorm is trained only when all layers are.

    message: LayerNorm
    message: emb_layer_norm_after
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n == len(encoder.layer) else [], True)
    return model


def wrong_thaw__all_norms(model, last_n):
    """Every LayerNorm of the backbone is trained.

    message: LayerNorm
    message: layer
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head], True)
    if last_n:
        grad([*encoder.layer[-last_n:], encoder.emb_layer_norm_after], True)
        for name, parameter in encoder.named_parameters():
            if "LayerNorm" in name:
                parameter.requires_grad = True
    return model


def wrong_thaw__only_thaws(model, last_n):
    """Never freezes anything: a model that was trainable stays so.

    message: frozen
    message: freeze
    message: before
    message: trainable
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model.head], True)
    if last_n:
        grad([*encoder.layer[-last_n:], encoder.emb_layer_norm_after], True)
    return model


def wrong_thaw__only_freezes(model, last_n):
    """Freezes what should be frozen, and thaws nothing: right for a model that was trainable throughout.

    message: frozen
    message: before
    message: trainable
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model.backbone.embeddings, model.backbone.contact_head, *encoder.layer[:len(encoder.layer) - last_n]], False)
    if last_n == 0:
        grad([encoder], False)
    return model


def wrong_thaw__earlier_layers_not_frozen_again(model, last_n):
    """Freezes the embedding, and thaws: layers thawed by an earlier call stay so.

    message: before
    message: frozen
    message: freeze
    message: trainable
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model.backbone.embeddings, model.backbone.contact_head, encoder.emb_layer_norm_after], False)
    if last_n == 0:
        grad([encoder], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__embedding_trainable(model, last_n):
    """Freezes the encoder: the embedding before it stays trainable.

    message: embedding
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([encoder, model.backbone.contact_head], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__embedding_thawed_with_all_layers(model, last_n):
    """Takes the full depth for the whole backbone, its embedding included.

    message: embedding
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    grad([model.backbone] if last_n == len(encoder.layer) else [], True)
    return model


def wrong_thaw__contact_head_trainable(model, last_n):
    """Freezes embedding and encoder: the contact head beside them stays trainable.

    message: contact
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model.backbone.embeddings, encoder], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__attribute_of_the_module(model, last_n):
    """module.requires_grad = False makes a new attribute, and changes no parameter.

    message: frozen
    message: freeze
    message: requires_grad
    message: trainable
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    model.backbone.requires_grad = False
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__attribute_of_the_layer(model, last_n):
    """layer.requires_grad = True makes a new attribute: the layers stay frozen.

    message: layer
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    for layer in encoder.layer[len(encoder.layer) - last_n:]:
        layer.requires_grad = True
    grad([model.head, *([encoder.emb_layer_norm_after] if last_n else [])], True)
    return model


def wrong_thaw__upside_down(model, last_n):
    """Freezes the last layers and trains the others.

    message: layer
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, *encoder.layer[:len(encoder.layer) - last_n]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__no_error(model, last_n):
    """No ValueError at all: a slice takes any number.

    message: ValueError
    """
    encoder = model.backbone.encoder
    grad([model], False)
    if last_n:
        grad([*encoder.layer[-last_n:], encoder.emb_layer_norm_after], True)
    grad([model.head], True)
    return model


def wrong_thaw__clipped(model, last_n):
    """More layers than there are means all of them, silently.

    message: ValueError
    """
    if last_n < 0:
        raise ValueError(f"last_n is {last_n}")
    encoder = model.backbone.encoder
    last_n = min(last_n, len(encoder.layer))
    grad([model], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__negative_is_zero(model, last_n):
    """A negative number freezes the backbone, silently.

    message: ValueError
    """
    encoder = model.backbone.encoder
    if last_n > len(encoder.layer):
        raise ValueError(f"last_n is {last_n}, the model has {len(encoder.layer)} layers")
    last_n = max(last_n, 0)
    grad([model], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__minus_one_is_all(model, last_n):
    """-1 stands for all layers, as in many libraries.

    message: ValueError
    """
    if last_n == -1:
        last_n = len(model.backbone.encoder.layer)
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__refuses_all_layers(model, last_n):
    """>= where > belongs: all layers are refused.

    message: ValueError
    """
    encoder = model.backbone.encoder
    if last_n < 0 or last_n >= len(encoder.layer):
        raise ValueError(f"last_n is {last_n}, the model has {len(encoder.layer)} layers")
    grad([model], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__refuses_zero(model, last_n):
    """Takes 0 for a mistake.

    message: ValueError
    """
    encoder = model.backbone.encoder
    if last_n <= 0 or last_n > len(encoder.layer):
        raise ValueError(f"last_n is {last_n}, the model has {len(encoder.layer)} layers")
    grad([model], False)
    grad([model.head, *encoder.layer[-last_n:], encoder.emb_layer_norm_after], True)
    return model


def wrong_thaw__one_beyond_the_depth(model, last_n):
    """Refuses from two beyond the depth on: counts the embedding as a layer.

    message: ValueError
    """
    encoder = model.backbone.encoder
    depth = len(encoder.layer)
    if last_n < 0 or last_n > depth + 1:
        raise ValueError(f"last_n is {last_n}, the model has {depth} layers")
    grad([model], False)
    grad([model.head, *encoder.layer[max(depth - last_n, 0):]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__assertion(model, last_n):
    """assert raises an AssertionError, or nothing under python -O.

    message: ValueError
    """
    encoder = model.backbone.encoder
    assert 0 <= last_n <= len(encoder.layer), f"last_n is {last_n}"
    grad([model], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__copy(model, last_n):
    """Thaws a copy and returns it: the model that was passed is as before.

    message: copy
    message: same
    message: in place
    """
    refuse(model, last_n)
    model = copy.deepcopy(model)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model


def wrong_thaw__returns_backbone(model, last_n):
    """Returns the backbone.

    message: return
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return model.backbone


def wrong_thaw__returns_a_count(model, last_n):
    """Returns how many parameters are trainable.

    message: return
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def wrong_thaw__nothing(model, last_n):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    refuse(model, last_n)
    encoder = model.backbone.encoder
    grad([model], False)
    grad([model.head, *encoder.layer[len(encoder.layer) - last_n:]], True)
    grad([encoder.emb_layer_norm_after] if last_n else [], True)


def right_thaw__slices(model, last_n):
    layers = model.backbone.encoder.layer
    if not 0 <= last_n <= len(layers):
        raise ValueError(f"last_n must be 0 to {len(layers)}, not {last_n}")
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    if last_n > 0:
        layers[-last_n:].requires_grad_(True)
        model.backbone.encoder.emb_layer_norm_after.requires_grad_(True)
    return model


def right_thaw__each_layer_in_turn(model, last_n):
    depth = model.backbone.config.num_hidden_layers
    if last_n < 0 or last_n > depth:
        raise ValueError("last_n is out of range")
    for parameter in model.backbone.parameters():
        parameter.requires_grad = False
    for parameter in model.head.parameters():
        parameter.requires_grad = True
    for number, layer in enumerate(model.backbone.encoder.layer):
        for parameter in layer.parameters():
            parameter.requires_grad = number >= depth - last_n
    for parameter in model.backbone.encoder.emb_layer_norm_after.parameters():
        parameter.requires_grad = last_n > 0
    return model


def right_thaw__by_name(model, last_n):
    depth = len(model.backbone.encoder.layer)
    if last_n not in range(depth + 1):
        raise ValueError(f"{last_n} is not between 0 and {depth}")
    prefixes = ["head."] + [f"backbone.encoder.layer.{number}." for number in range(depth - last_n, depth)]
    if last_n:
        prefixes.append("backbone.encoder.emb_layer_norm_after.")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(tuple(prefixes)))
    return model


def right_thaw__regular_expression(model, last_n):
    numbers = [int(found.group(1)) for name, _ in model.named_parameters()
               if (found := re.match(r"backbone\.encoder\.layer\.(\d+)\.", name))]
    if last_n < 0:
        raise ValueError("last_n is negative")
    if last_n > max(numbers) + 1:
        raise ValueError("the model does not have that many layers")
    for name, parameter in model.named_parameters():
        layer = re.match(r"backbone\.encoder\.layer\.(\d+)\.", name)
        parameter.requires_grad = (bool(re.match(r"head\.", name)) or last_n > 0 and "emb_layer_norm_after" in name
                                   or layer is not None and int(layer.group(1)) > max(numbers) - last_n)
    return model


def right_thaw__set_of_parameters(model, last_n):
    encoder = model.backbone.encoder
    backwards = list(reversed(encoder.layer))
    if last_n < 0 or last_n > len(backwards):
        raise ValueError(f"last_n = {last_n}")
    wanted = set(model.head.parameters())
    for layer in backwards[:last_n]:
        wanted |= {*layer.parameters(), *encoder.emb_layer_norm_after.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad = parameter in wanted
    return model


def right_thaw__name_contains_the_number(model, last_n):
    """Where "layer.1" is chosen, so are "layer.10" and all others that begin like it: they come later."""
    refuse(model, last_n)
    depth = len(model.backbone.encoder.layer)
    for name, parameter in model.named_parameters():
        chosen = any(f"encoder.layer.{number}" in name for number in range(depth - last_n, depth))
        after = last_n > 0 and "emb_layer_norm_after" in name
        parameter.requires_grad = chosen or after or name.startswith("head")
    return model
