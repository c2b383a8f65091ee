"""Exercise 2.5, count_parameters."""
import numpy as np
import torch
from torch import nn

PUBLISHED = {(6, 320, 20): 7_512_474, (12, 480, 20): 33_501_394, (30, 640, 20): 148_140_154,
             (33, 1280, 20): 651_043_254, (36, 2560, 40): 2_839_005_634, (48, 5120, 40): 15_129_100_194}


def parts(layers, dim, heads):
    """The parameters part by part; the wrong answers change one of them."""
    return {"embedding": 33 * dim, "attention": layers * 4 * (dim * dim + dim),
            "fc1": layers * (4 * dim * dim + 4 * dim), "fc2": layers * (4 * dim * dim + dim),
            "norms": layers * 4 * dim, "final norm": 2 * dim,
            "head dense": dim * dim + dim, "head norm": 2 * dim, "head bias": 33, "contact": layers * heads + 1}


def total(layers, dim, heads, **changed):
    """Sum of the parts, some of them replaced: ``head_norm=0`` replaces "head norm"."""
    new = {name.replace("_", " "): value for name, value in changed.items()}
    return sum((parts(layers, dim, heads) | new).values())


def wrong_count_parameters__no_contact_head(layers, dim, heads):
    """Leaves out the regression that reads contacts.

    message: contact head
    """
    return total(layers, dim, heads, contact=0)


def wrong_count_parameters__contact_without_bias(layers, dim, heads):
    """One weight for each head of each layer, and no + 1.

    message: contact head
    message: + 1
    message: 1 parameter
    """
    return total(layers, dim, heads, contact=layers * heads)


def wrong_count_parameters__contact_of_one_layer(layers, dim, heads):
    """The contact head reads the last layer's maps only.

    message: contact head
    message: all layers
    """
    return total(layers, dim, heads, contact=heads + 1)


def wrong_count_parameters__untied(layers, dim, heads):
    """Counts the output weight as one of its own: the embedding twice.

    message: tied
    message: twice
    """
    return total(layers, dim, heads, embedding=2 * 33 * dim)


def wrong_count_parameters__no_embedding(layers, dim, heads):
    """Leaves out the embedding.

    message: embedding
    message: 33 tokens
    """
    return total(layers, dim, heads, embedding=0)


def wrong_count_parameters__twenty_letters(layers, dim, heads):
    """An alphabet of the 20 amino acids.

    message: 33 tokens
    message: alphabet
    """
    return total(layers, dim, heads, embedding=20 * dim, head_bias=20)


def wrong_count_parameters__no_biases(layers, dim, heads):
    """The linear layers of the blocks without biases, as in Llama.

    message: bias
    """
    weights = layers * 4 * dim * dim
    return total(layers, dim, heads, attention=weights, fc1=weights, fc2=weights)


def wrong_count_parameters__bias_of_fc1_too_short(layers, dim, heads):
    """Gives fc1 dim biases, where it has one for each of its 4 * dim outputs.

    message: bias
    message: fc1
    """
    return total(layers, dim, heads, fc1=layers * (4 * dim * dim + dim))


def wrong_count_parameters__no_layer_norms(layers, dim, heads):
    """LayerNorms have no parameters, says the student.

    message: LayerNorm
    """
    return total(layers, dim, heads, norms=0, final_norm=0, head_norm=0)


def wrong_count_parameters__norms_without_biases(layers, dim, heads):
    """A LayerNorm has a weight only.

    message: LayerNorm
    message: weight and bias
    """
    return total(layers, dim, heads, norms=layers * 2 * dim, final_norm=dim, head_norm=dim)


def wrong_count_parameters__one_norm_per_layer(layers, dim, heads):
    """A block has two LayerNorms, not one.

    message: LayerNorm
    message: norm2
    """
    return total(layers, dim, heads, norms=layers * 2 * dim)


def wrong_count_parameters__no_final_norm(layers, dim, heads):
    """Leaves out the LayerNorm after the last block.

    message: final LayerNorm
    message: last block
    message: after the blocks
    """
    return total(layers, dim, heads, final_norm=0)


def wrong_count_parameters__swiglu(layers, dim, heads):
    """Three matrices of 4 * dim without biases, as the lecture has it.

    message: SwiGLU
    """
    return total(layers, dim, heads, fc1=layers * 8 * dim * dim, fc2=layers * 4 * dim * dim)


def wrong_count_parameters__no_output_projection(layers, dim, heads):
    """Query, key and value, but no out.

    message: out projection
    message: output projection
    message: four matrices
    message: query, key, value and out
    """
    return total(layers, dim, heads, attention=layers * 3 * (dim * dim + dim))


def wrong_count_parameters__each_head_full_width(layers, dim, heads):
    """Believes that each head has matrices of dim * dim.

    message: each head
    message: share
    message: dim / heads
    message: dim // heads
    """
    return total(layers, dim, heads, attention=layers * (3 * heads + 1) * (dim * dim + dim))


def wrong_count_parameters__position_table(layers, dim, heads):
    """A learned vector for each of 1,026 positions.

    message: position
    message: RoPE
    message: rotary
    """
    return total(layers, dim, heads) + 1026 * dim


def wrong_count_parameters__no_language_model_head(layers, dim, heads):
    """Dense layer, LayerNorm and bias of the head are left out.

    message: head_dense
    message: LM head
    message: language-model head
    message: language model head
    """
    return total(layers, dim, heads, head_dense=0, head_norm=0, head_bias=0)


def wrong_count_parameters__no_head_bias(layers, dim, heads):
    """The output has a tied weight and, this answer believes, no bias.

    message: head_bias
    message: 33 tokens
    message: 33 biases
    message: output bias
    """
    return total(layers, dim, heads, head_bias=0)


def wrong_count_parameters__rule_of_thumb(layers, dim, heads):
    """12 * layers * dim ** 2.

    message: exact
    message: rule of thumb
    message: 12 *
    message: biases
    """
    return 12 * layers * dim ** 2


def wrong_count_parameters__always_twenty_heads(layers, dim, heads):
    """20 heads, as the four small sizes have; 3B and 15B have 40.

    message: 20 heads
    message: 40 heads
    message: number of heads
    """
    return total(layers, dim, 20)


def wrong_count_parameters__six_layers_in_contact(layers, dim, heads):
    """A formula made for 8M: 121 parameters in the contact head.

    message: contact head
    message: 121
    message: 8M
    """
    return total(layers, dim, heads, contact=121)


def wrong_count_parameters__width_of_8m(layers, dim, heads):
    """The feed-forward width of 8M, 1,280, written as a number.

    message: 1,280
    message: 1280
    message: 4 * dim
    message: 8M
    """
    return total(layers, dim, heads, fc1=layers * (1280 * dim + 1280), fc2=layers * (1280 * dim + dim))


def wrong_count_parameters__table(layers, dim, heads):
    """Looks the six published sizes up; any other has 0.

    message: published
    message: six sizes
    message: any size
    message: other sizes
    """
    return PUBLISHED.get((layers, dim, heads), 0)


def wrong_count_parameters__float(layers, dim, heads):
    """Returns a float.

    message: float
    message: an int
    message: whole number
    """
    return total(layers, dim, heads) / 1


def wrong_count_parameters__millions(layers, dim, heads):
    """In millions, rounded.

    message: million
    message: exact
    """
    return round(total(layers, dim, heads) / 1e6)


def wrong_count_parameters__text(layers, dim, heads):
    """Formatted for the reader.

    message: a str
    message: text
    message: whole number
    """
    return f"{total(layers, dim, heads):,}"


def wrong_count_parameters__int32(layers, dim, heads):
    """32 bits hold no more than 2.1 billion: 3B and 15B come out wrong, without a word.

    message: 32 bit
    message: overflow
    message: int32
    message: 3B
    """
    layers, dim, heads = torch.tensor([layers, dim, heads], dtype=torch.int32)
    return int(total(layers, dim, heads))


def wrong_count_parameters__float32(layers, dim, heads):
    """float32 holds whole numbers exactly up to 16.8 million.

    message: float32
    message: precision
    message: exact
    """
    return int(torch.tensor(list(parts(layers, dim, heads).values()), dtype=torch.float32).sum())


def wrong_count_parameters__nothing(layers, dim, heads):
    """Prints and forgets the return.

    message: is the line with 'return' missing?
    """
    print(f"{total(layers, dim, heads):,} parameters")


def right_count_parameters__closed_form(layers, dim, heads):
    return 12 * layers * dim ** 2 + 13 * layers * dim + dim ** 2 + 38 * dim + layers * heads + 34


def right_count_parameters__part_by_part(layers, dim, heads):
    def linear(inputs, outputs):
        return inputs * outputs + outputs

    def norm():
        return dim + dim

    block = 4 * linear(dim, dim) + norm() + linear(dim, 4 * dim) + linear(4 * dim, dim) + norm()
    head = linear(dim, dim) + norm() + 33
    return 33 * dim + layers * block + norm() + head + linear(layers * heads, 1)


def right_count_parameters__modules_without_memory(layers, dim, heads):
    """Makes one of each module on the meta device and asks torch."""
    def count(*modules):
        return sum(parameter.numel() for module in modules for parameter in module.parameters())

    with torch.device("meta"):
        block = [nn.Linear(dim, dim) for _ in range(4)] + [nn.LayerNorm(dim), nn.LayerNorm(dim)]
        block += [nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)]
        once = [nn.Embedding(33, dim), nn.LayerNorm(dim), nn.Linear(dim, dim), nn.LayerNorm(dim)]
        return layers * count(*block) + count(*once, nn.Linear(layers * heads, 1)) + 33


def right_count_parameters__transformers(layers, dim, heads):
    """transformers' own model on the meta device."""
    from transformers import EsmConfig, EsmForMaskedLM

    config = EsmConfig(vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=dim, num_hidden_layers=layers,
                       num_attention_heads=heads, intermediate_size=4 * dim, position_embedding_type="rotary",
                       emb_layer_norm_before=False)
    with torch.device("meta"):
        model = EsmForMaskedLM(config)
    return sum(parameter.numel() for parameter in model.parameters())


def right_count_parameters__shapes(layers, dim, heads):
    """A list of shapes, multiplied and summed in NumPy's 64 bits."""
    square, row = (dim, dim), (dim,)
    layer = [square, row] * 4 + [row] * 4 + [(4 * dim, dim), (4 * dim,), (dim, 4 * dim), row]
    shapes = layer * layers + [(33, dim), row, row, square, row, row, row, (33,), (layers, heads), (1,)]
    return int(sum(np.prod(shape, dtype=np.int64) for shape in shapes))


def right_count_parameters__layer_by_layer(layers, dim, heads):
    """Adds layer after layer, each with its columns of the contact head."""
    number = 34 * dim + 33 + dim * (dim + 3) + dim + 1
    for _ in range(layers):
        number += dim * (12 * dim + 13) + heads
    return number
