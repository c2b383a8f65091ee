"""Exercise 6.3, lora_parameters."""
import torch
from torch import nn

QKV = ("query", "key", "value")


def shapes(config):
    """(in, out) of the layers of one block, by target."""
    dim, wide = config.hidden_size, config.intermediate_size
    return {"query": [(dim, dim)], "key": [(dim, dim)], "value": [(dim, dim)],
            "dense": [(dim, dim), (dim, wide), (wide, dim)]}


def layers(config, targets):
    """(in, out) of all layers that the targets name in one block; ValueError for a target that is not there."""
    known = shapes(config)
    for target in targets:
        if target not in known:
            raise ValueError(f"there is no layer {target}")
    return [shape for target in sorted(set(targets)) for shape in known[target]]


def adapters(config, targets, r):
    """A and B of all blocks."""
    return config.num_hidden_layers * sum(r * (fan_in + fan_out) for fan_in, fan_out in layers(config, targets))


def head(config, num_labels):
    """transformers' classification head: dim x dim, then dim x labels, both with biases."""
    dim = config.hidden_size
    return dim * dim + dim + dim * num_labels + num_labels


# ------------------------------------------------------------------------------------------------------ the head

def wrong_lora_parameters__no_head(config, targets=QKV, r=8, num_labels=2):
    """A and B alone.

    message: head
    """
    return adapters(config, targets, r)


def wrong_lora_parameters__head_twice(config, targets=QKV, r=8, num_labels=2):
    """Counts the head twice: peft keeps the original beside the copy it trains.

    message: twice
    message: once
    """
    return adapters(config, targets, r) + 2 * head(config, num_labels)


def wrong_lora_parameters__head_in_each_block(config, targets=QKV, r=8, num_labels=2):
    """A bracket in the wrong place: each block gets a head.

    message: once
    message: each
    message: head
    """
    each = adapters(config, targets, r) // config.num_hidden_layers
    return config.num_hidden_layers * (each + head(config, num_labels))


def wrong_lora_parameters__head_without_biases(config, targets=QKV, r=8, num_labels=2):
    """The head's two weights, and no biases.

    message: bias
    """
    dim = config.hidden_size
    return adapters(config, targets, r) + dim * dim + dim * num_labels


def wrong_lora_parameters__dense_of_the_head_without_bias(config, targets=QKV, r=8, num_labels=2):
    """Forgets the bias of the head's first layer.

    message: bias
    """
    return adapters(config, targets, r) + head(config, num_labels) - config.hidden_size


def wrong_lora_parameters__labels_without_bias(config, targets=QKV, r=8, num_labels=2):
    """Forgets the bias of the head's second layer.

    message: bias
    """
    return adapters(config, targets, r) + head(config, num_labels) - num_labels


def wrong_lora_parameters__one_linear_layer(config, targets=QKV, r=8, num_labels=2):
    """The head of notebook 5: one linear layer from dim to the labels.

    message: two
    message: dim × dim
    message: head
    """
    return adapters(config, targets, r) + config.hidden_size * num_labels + num_labels


def wrong_lora_parameters__dense_of_the_head_alone(config, targets=QKV, r=8, num_labels=2):
    """The head's dim x dim layer, and not the one behind it.

    message: label
    message: head
    """
    dim = config.hidden_size
    return adapters(config, targets, r) + dim * dim + dim


def wrong_lora_parameters__head_with_layer_norm(config, targets=QKV, r=8, num_labels=2):
    """The head of the language model, which has a LayerNorm, taken for that of the classifier.

    message: LayerNorm
    message: head
    """
    return adapters(config, targets, r) + head(config, num_labels) + 2 * config.hidden_size


def wrong_lora_parameters__two_labels_always(config, targets=QKV, r=8, num_labels=2):
    """num_labels is not used.

    message: num_labels
    message: label
    """
    return adapters(config, targets, r) + head(config, 2)


def wrong_lora_parameters__one_output_for_two_labels(config, targets=QKV, r=8, num_labels=2):
    """Two classes need one output, says the student.

    message: num_labels
    message: label
    """
    return adapters(config, targets, r) + head(config, 1 if num_labels == 2 else num_labels)


def wrong_lora_parameters__adapter_on_the_head(config, targets=QKV, r=8, num_labels=2):
    """The head's first layer is called dense, too, and gets an adapter.

    message: head
    message: three
    message: dense
    """
    extra = 2 * r * config.hidden_size if "dense" in targets else 0
    return adapters(config, targets, r) + head(config, num_labels) + extra


# --------------------------------------------------------------------------------------------------- the targets

def wrong_lora_parameters__all_targets_always(config, targets=QKV, r=8, num_labels=2):
    """Counts adapters on all four kinds of layers whatever is asked for.

    message: target
    """
    layers(config, targets)
    return adapters(config, ("query", "key", "value", "dense"), r) + head(config, num_labels)


def wrong_lora_parameters__query_key_value_always(config, targets=QKV, r=8, num_labels=2):
    """Counts query, key and value whatever is asked for.

    message: target
    """
    layers(config, targets)
    return adapters(config, QKV, r) + head(config, num_labels)


def wrong_lora_parameters__number_of_targets(config, targets=QKV, r=8, num_labels=2):
    """len(targets) layers of dim x dim: dense counts as one of them.

    message: dense
    """
    layers(config, targets)
    each = 2 * r * config.hidden_size
    return config.num_hidden_layers * len(set(targets)) * each + head(config, num_labels)


def wrong_lora_parameters__dense_square(config, targets=QKV, r=8, num_labels=2):
    """Three dense layers, all taken as dim x dim.

    message: intermediate_size
    message: dense
    """
    count = sum(3 if target == "dense" else 1 for target in set(targets))
    layers(config, targets)
    each = 2 * r * config.hidden_size
    return config.num_hidden_layers * count * each + head(config, num_labels)


def wrong_lora_parameters__dense_of_the_feed_forward_alone(config, targets=QKV, r=8, num_labels=2):
    """Forgets that the attention's output layer is called dense, too.

    message: dense
    message: three
    message: attention
    """
    extra = 2 * r * config.hidden_size * config.num_hidden_layers if "dense" in targets else 0
    return adapters(config, targets, r) + head(config, num_labels) - extra


def wrong_lora_parameters__dense_that_widens_alone(config, targets=QKV, r=8, num_labels=2):
    """Only the layer from dim to intermediate_size is taken for dense.

    message: dense
    message: three
    """
    dim, wide = config.hidden_size, config.intermediate_size
    fewer = r * (2 * dim + dim + wide) * config.num_hidden_layers if "dense" in targets else 0
    return adapters(config, targets, r) + head(config, num_labels) - fewer


def wrong_lora_parameters__four_times_as_wide(config, targets=QKV, r=8, num_labels=2):
    """4 * dim where config.intermediate_size belongs: right for ESM-2's published sizes only.

    message: intermediate_size
    """
    dim = config.hidden_size
    other = 2 * r * (4 * dim - config.intermediate_size) * config.num_hidden_layers if "dense" in targets else 0
    return adapters(config, targets, r) + head(config, num_labels) + other


def wrong_lora_parameters__unknown_target_is_nothing(config, targets=QKV, r=8, num_labels=2):
    """A target that is not there counts as nothing, and nothing is said.

    message: ValueError
    """
    return adapters(config, set(targets) & set(shapes(config)), r) + head(config, num_labels)


def wrong_lora_parameters__key_error(config, targets=QKV, r=8, num_labels=2):
    """A KeyError from the table where a ValueError is asked for.

    message: ValueError
    """
    known = shapes(config)
    wrapped = [shape for target in set(targets) for shape in known[target]]
    return config.num_hidden_layers * sum(r * sum(shape) for shape in wrapped) + head(config, num_labels)


def wrong_lora_parameters__other_names_for_dense(config, targets=QKV, r=8, num_labels=2):
    """Knows fc1 and fc2 from notebook 2, and refuses "dense".

    message: dense
    """
    if "dense" in targets:
        raise ValueError("there is no layer dense")
    return adapters(config, targets, r) + head(config, num_labels)


# --------------------------------------------------------------------------------------------- what A and B hold

def wrong_lora_parameters__A_alone(config, targets=QKV, r=8, num_labels=2):
    """r * in for each layer: one of the two matrices.

    message: A and B
    message: both
    message: in + out
    """
    one = config.num_hidden_layers * sum(r * fan_in for fan_in, _ in layers(config, targets))
    return one + head(config, num_labels)


def wrong_lora_parameters__product(config, targets=QKV, r=8, num_labels=2):
    """r * in * out for each layer.

    message: in + out
    message: product
    message: r · (in
    message: r * (in
    """
    product = config.num_hidden_layers * sum(r * fan_in * fan_out for fan_in, fan_out in layers(config, targets))
    return product + head(config, num_labels)


def wrong_lora_parameters__full_matrices(config, targets=QKV, r=8, num_labels=2):
    """in * out for each layer: what full fine-tuning of these layers trains; r is not used.

    message: in + out
    message: full
    message: r · (in
    message: r * (in
    message: rank
    """
    full = config.num_hidden_layers * sum(fan_in * fan_out for fan_in, fan_out in layers(config, targets))
    return full + head(config, num_labels)


def wrong_lora_parameters__r_squared(config, targets=QKV, r=8, num_labels=2):
    """A third matrix, r x r, between A and B.

    message: A and B
    message: in + out
    message: r · (in
    message: r * (in
    """
    middle = config.num_hidden_layers * len(layers(config, targets)) * r * r
    return adapters(config, targets, r) + middle + head(config, num_labels)


def wrong_lora_parameters__biases_in_A_and_B(config, targets=QKV, r=8, num_labels=2):
    """Gives A and B a bias each: r + out more for each layer.

    message: bias
    """
    biases = config.num_hidden_layers * sum(r + fan_out for _, fan_out in layers(config, targets))
    return adapters(config, targets, r) + biases + head(config, num_labels)


def wrong_lora_parameters__biases_of_the_base(config, targets=QKV, r=8, num_labels=2):
    """The wrapped layers' own biases train along.

    message: bias
    message: frozen
    """
    biases = config.num_hidden_layers * sum(fan_out for _, fan_out in layers(config, targets))
    return adapters(config, targets, r) + biases + head(config, num_labels)


def wrong_lora_parameters__rank_8_always(config, targets=QKV, r=8, num_labels=2):
    """r is not used.

    message: rank
    message: r=
    message: r =
    """
    return adapters(config, targets, 8) + head(config, num_labels)


def wrong_lora_parameters__for_each_attention_head(config, targets=QKV, r=8, num_labels=2):
    """A and B for each attention head: with 20 of them in ESM-2.

    message: attention head
    message: in + out
    message: times
    message: r · (in
    message: r * (in
    """
    return getattr(config, "num_attention_heads", 20) * adapters(config, targets, r) + head(config, num_labels)


# ---------------------------------------------------------------------------------------------- the model's size

def wrong_lora_parameters__one_block_less(config, targets=QKV, r=8, num_labels=2):
    """range(1, num_hidden_layers): one block is left out.

    message: num_hidden_layers
    message: block
    message: layers
    """
    each = sum(r * (fan_in + fan_out) for fan_in, fan_out in layers(config, targets))
    return sum(each for _ in range(1, config.num_hidden_layers)) + head(config, num_labels)


def wrong_lora_parameters__one_block_more(config, targets=QKV, r=8, num_labels=2):
    """num_hidden_layers + 1, as if hidden states were counted.

    message: num_hidden_layers
    message: block
    message: layers
    """
    each = sum(r * (fan_in + fan_out) for fan_in, fan_out in layers(config, targets))
    return (config.num_hidden_layers + 1) * each + head(config, num_labels)


def wrong_lora_parameters__one_block(config, targets=QKV, r=8, num_labels=2):
    """Counts a single block.

    message: num_hidden_layers
    message: block
    message: layers
    """
    return adapters(config, targets, r) // config.num_hidden_layers + head(config, num_labels)


def wrong_lora_parameters__width_of_the_8M_model(config, targets=QKV, r=8, num_labels=2):
    """320 is written into the formula, for the adapters and the head.

    message: hidden_size
    """
    class Fixed:
        hidden_size = 320
        intermediate_size, num_hidden_layers = config.intermediate_size, config.num_hidden_layers

    return adapters(Fixed, targets, r) + head(Fixed, num_labels)


def wrong_lora_parameters__depth_of_the_8M_model(config, targets=QKV, r=8, num_labels=2):
    """Six blocks, always.

    message: num_hidden_layers
    """
    each = sum(r * (fan_in + fan_out) for fan_in, fan_out in layers(config, targets))
    return 6 * each + head(config, num_labels)


def wrong_lora_parameters__whole_model(config, targets=QKV, r=8, num_labels=2):
    """Counts the frozen weights of the blocks, too.

    message: frozen
    message: train
    """
    dim, wide = config.hidden_size, config.intermediate_size
    block = 4 * (dim * dim + dim) + 2 * dim * wide + dim + wide + 4 * dim
    base = 33 * dim + config.num_hidden_layers * block + 2 * dim
    return base + adapters(config, targets, r) + head(config, num_labels)


# ---------------------------------------------------------------------------------------------- what is returned

def wrong_lora_parameters__millions(config, targets=QKV, r=8, num_labels=2):
    """In millions.

    message: million
    message: whole number
    message: integer
    message: an int
    """
    return (adapters(config, targets, r) + head(config, num_labels)) / 1e6


def wrong_lora_parameters__float(config, targets=QKV, r=8, num_labels=2):
    """The right number, as a float.

    message: whole number
    message: integer
    message: an int
    message: float
    """
    return float(adapters(config, targets, r) + head(config, num_labels))


def wrong_lora_parameters__text(config, targets=QKV, r=8, num_labels=2):
    """The right number with commas, as text.

    message: whole number
    message: integer
    message: an int
    message: str
    """
    return f"{adapters(config, targets, r) + head(config, num_labels):,}"


def wrong_lora_parameters__two_numbers(config, targets=QKV, r=8, num_labels=2):
    """A and B, and the head, side by side.

    message: whole number
    message: integer
    message: an int
    message: one number
    message: tuple
    """
    return adapters(config, targets, r), head(config, num_labels)


def wrong_lora_parameters__nothing(config, targets=QKV, r=8, num_labels=2):
    """Prints the number and returns nothing.

    message: is the line with 'return' missing?
    message: returns None
    """
    print(f"{adapters(config, targets, r) + head(config, num_labels):,} parameters")


# --------------------------------------------------------------------------------------------------------- right

def right_lora_parameters__table(config, targets=QKV, r=8, num_labels=2):
    return adapters(config, targets, r) + head(config, num_labels)


def right_lora_parameters__closed_form(config, targets=QKV, r=8, num_labels=2):
    """dim and intermediate_size collected."""
    wanted = set(targets)
    if wanted - {"query", "key", "value", "dense"}:
        raise ValueError(f"unknown: {wanted}")
    dim = config.hidden_size
    square, dense = len(wanted & {"query", "key", "value"}), int("dense" in wanted)
    block = 2 * r * (dim * square + dense * (2 * dim + config.intermediate_size))
    return block * config.num_hidden_layers + (dim + num_labels) * (dim + 1)


def right_lora_parameters__layer_by_layer(config, targets=QKV, r=8, num_labels=2):
    """Goes through the blocks' full names as ESM-2 has them."""
    dim, wide = config.hidden_size, config.intermediate_size
    block = {"attention.self.query": (dim, dim), "attention.self.key": (dim, dim), "attention.self.value": (dim, dim),
             "attention.output.dense": (dim, dim), "intermediate.dense": (dim, wide), "output.dense": (wide, dim)}
    names = {name.rsplit(".", 1)[1] for name in block}
    for target in targets:
        if target not in names:
            raise ValueError(f"{target} is none of {sorted(names)}")
    number = 0
    for _ in range(config.num_hidden_layers):
        for name, (inputs, outputs) in block.items():
            if name.rsplit(".", 1)[1] in targets:
                number += r * inputs
                number += outputs * r
    number += (dim + 1) * dim
    number += (dim + 1) * num_labels
    return number


def right_lora_parameters__match(config, targets=QKV, r=8, num_labels=2):
    """One case for each target."""
    dim, wide, total = config.hidden_size, config.intermediate_size, 0
    for target in dict.fromkeys(targets):
        match target:
            case "query" | "key" | "value":
                total += r * 2 * dim
            case "dense":
                total += r * (dim + dim) + r * (dim + wide) + r * (wide + dim)
            case _:
                raise ValueError(f"ESM-2 has no {target}")
    total *= config.num_hidden_layers
    return total + (dim + 1) * dim + (dim + 1) * num_labels


def right_lora_parameters__model_without_memory(config, targets=QKV, r=8, num_labels=2):
    """Builds the model on the meta device, gives its blocks adapters and counts what trains."""
    from transformers import EsmConfig, EsmForSequenceClassification

    from plmcourse.lora import inject_lora

    if unknown := sorted(set(targets) - {"query", "key", "value", "dense"}):
        raise ValueError(f"no layers called {unknown}")
    full = EsmConfig(vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=config.hidden_size,
                     num_hidden_layers=config.num_hidden_layers, intermediate_size=config.intermediate_size,
                     num_attention_heads=1, position_embedding_type="rotary", num_labels=num_labels)
    with torch.device("meta"):
        model = EsmForSequenceClassification(full).requires_grad_(False)
        if targets and config.num_hidden_layers:
            inject_lora(model.esm.encoder, targets, r)
    model.classifier.requires_grad_(True)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def right_lora_parameters__modules_of_one_block(config, targets=QKV, r=8, num_labels=2):
    """LoRALinear around layers without memory: A and B counted from their shapes."""
    from plmcourse.lora import LoRALinear

    def trained(*modules):
        parameters = [parameter for module in modules for parameter in module.parameters()]
        return sum(parameter.numel() for parameter in parameters if parameter.requires_grad)

    dim = config.hidden_size
    with torch.device("meta"):
        block = [LoRALinear(nn.Linear(*shape, bias=False), r) for shape in layers(config, targets)]
        return config.num_hidden_layers * trained(*block) + trained(nn.Linear(dim, dim), nn.Linear(dim, num_labels))
