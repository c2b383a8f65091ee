"""Exercise 8.1, attention_maps."""
import copy

import numpy as np
import torch
from transformers.models.esm.modeling_esm import apply_rotary_pos_emb

from plmcourse.models import to_fair_esm
from plmcourse.sequences import MASK


def layers_of(plm, tokens):
    """The attention of each layer, [batch, heads, tokens, tokens], whatever way of attention was loaded."""
    before = plm.config._attn_implementation
    plm.model.set_attn_implementation("eager")
    found = plm.forward(tokens, output_attentions=True).attentions
    plm.model.set_attn_implementation(before)
    return found


def full(plm, sequence):
    """[layers, heads, tokens, tokens], with <cls> and <eos>."""
    return torch.stack(layers_of(plm, plm.tokenize([sequence])), dim=1)[0]


def by_hand(plm, sequence, attention):
    """``attention(query, key, cos, sin)`` for each layer, from what goes into it: [layers, heads, tokens, tokens]."""
    inputs, heads = [], plm.config.num_attention_heads
    attentions = [layer.attention.self for layer in plm.model.esm.encoder.layer]

    def remember(module, arguments, options):
        state = arguments[0] if arguments else options["hidden_states"]
        inputs.append((state.detach(), *options["position_embeddings"]))

    handles = [module.register_forward_pre_hook(remember, with_kwargs=True) for module in attentions]
    plm.forward(plm.tokenize([sequence]))
    for handle in handles:
        handle.remove()
    maps = []
    with torch.no_grad():
        for module, (state, cos, sin) in zip(attentions, inputs):
            query, key = (part(state).unflatten(-1, (heads, -1)).transpose(1, 2) for part in (module.query, module.key))
            maps.append(attention(query / query.shape[-1]**0.5, key, cos, sin)[0])
    return torch.stack(maps)


def wrong_attention_maps__special_tokens_kept(plm, sequence):
    """<cls> and <eos> are still there.

    message: <cls> and <eos> are still in
    message: still hold <cls> and <eos>
    message: has shape
    """
    return full(plm, sequence)


def wrong_attention_maps__eos_kept(plm, sequence):
    """Only <cls> is cut off.

    message: <eos> is still in
    message: has shape
    """
    return full(plm, sequence)[..., 1:, 1:]


def wrong_attention_maps__bos_kept(plm, sequence):
    """Only <eos> is cut off, as when somebody thinks of the end only.

    message: <cls> is still in
    message: has shape
    """
    return full(plm, sequence)[..., :-1, :-1]


def wrong_attention_maps__begins_at_bos(plm, sequence):
    """The right size, but row 0 is <cls> and the last residue is lost.

    message: begin at <cls>
    message: begins at <cls>
    message: is <cls>
    """
    return full(plm, sequence)[..., :-2, :-2]


def wrong_attention_maps__ends_with_eos(plm, sequence):
    """Cuts two at the front: the first residue is lost and <eos> comes in.

    message: the first residue
    message: ends with <eos>
    message: end with <eos>
    """
    return full(plm, sequence)[..., 2:, 2:]


def wrong_attention_maps__end_residues_lost(plm, sequence):
    """Believes that the special tokens were gone already and cuts the first and last residue as well.

    message: the first and the last residue
    message: has shape
    """
    return full(plm, sequence)[..., 2:-2, 2:-2]


def wrong_attention_maps__rows_only(plm, sequence):
    """The rows of <cls> and <eos> go, their columns stay.

    message: columns
    message: has shape
    """
    return full(plm, sequence)[..., 1:-1, :]


def wrong_attention_maps__columns_only(plm, sequence):
    """The columns of <cls> and <eos> go, their rows stay.

    message: rows
    message: has shape
    """
    return full(plm, sequence)[..., 1:-1]


def wrong_attention_maps__eos_column_kept(plm, sequence):
    """The row of <eos> is dropped but its column kept.

    message: column
    message: has shape
    """
    return full(plm, sequence)[..., 1:-1, 1:]


def wrong_attention_maps__columns_shifted(plm, sequence):
    """The rows are cut rightly, but the columns begin at <cls>: right in shape.

    message: columns
    message: <cls>
    """
    return full(plm, sequence)[..., 1:-1, :-2]


def wrong_attention_maps__zeroed(plm, sequence):
    """Sets the rows and columns of <cls> and <eos> to zero instead of dropping them.

    message: zero
    message: has shape
    """
    maps = full(plm, sequence).clone()
    maps[..., [0, -1], :] = 0
    maps[..., [0, -1]] = 0
    return maps


def wrong_attention_maps__rows_renormalised(plm, sequence):
    """Makes the rows sum to 1 again.

    message: renormalise
    message: normalise
    """
    maps = full(plm, sequence)[..., 1:-1, 1:-1]
    return maps / maps.sum(-1, keepdim=True)


def wrong_attention_maps__maximum_is_one(plm, sequence):
    """Divides each map by its largest value, as for a picture.

    message: largest
    message: scale
    message: normalise
    """
    maps = full(plm, sequence)[..., 1:-1, 1:-1]
    return maps / maps.amax((-1, -2), keepdim=True)


def wrong_attention_maps__heads_before_layers(plm, sequence):
    """Stacks along the wrong axis: [heads, layers, L, L].

    message: heads first
    message: layers and heads
    message: [layers, heads
    message: has shape
    """
    return torch.cat(layers_of(plm, plm.tokenize([sequence])))[..., 1:-1, 1:-1].transpose(0, 1)


def wrong_attention_maps__relabelled_axes(plm, sequence):
    """The right shape, but reshaped as if the heads came first: layers and heads are mixed up.

    message: layers and heads
    message: mix
    """
    maps = full(plm, sequence)[..., 1:-1, 1:-1]
    return maps.transpose(0, 1).reshape(maps.shape)


def wrong_attention_maps__last_layer(plm, sequence):
    """The last layer only: [heads, L, L].

    message: the last layer
    message: has shape
    """
    return full(plm, sequence)[-1, :, 1:-1, 1:-1]


def wrong_attention_maps__first_of_the_stack(plm, sequence):
    """Takes the axis of the layers for that of the batch, as in fair-esm's order: the first layer only.

    message: the first layer
    message: one layer
    message: has shape
    """
    return torch.stack(layers_of(plm, plm.tokenize([sequence])))[0, :, :, 1:-1, 1:-1]


def wrong_attention_maps__batch_axis_kept(plm, sequence):
    """Never takes the one sequence out of its batch: [layers, 1, heads, L, L].

    message: batch
    message: has shape
    """
    return torch.stack(layers_of(plm, plm.tokenize([sequence])))[..., 1:-1, 1:-1]


def wrong_attention_maps__heads_averaged(plm, sequence):
    """Averages over the heads: [layers, L, L].

    message: average
    message: has shape
    """
    return full(plm, sequence)[..., 1:-1, 1:-1].mean(1)


def wrong_attention_maps__heads_flattened(plm, sequence):
    """All heads of all layers in one axis: [layers * heads, L, L].

    message: has shape
    message: one axis
    """
    return full(plm, sequence)[..., 1:-1, 1:-1].flatten(0, 1)


def wrong_attention_maps__transposed(plm, sequence):
    """Rows and columns change places: who is attended to comes first.

    message: transpose
    message: rows and columns
    """
    return full(plm, sequence)[..., 1:-1, 1:-1].transpose(-1, -2)


def wrong_attention_maps__symmetrised(plm, sequence):
    """Adds the transpose here already.

    message: symmetri
    message: transpose
    """
    maps = full(plm, sequence)[..., 1:-1, 1:-1]
    return maps + maps.transpose(-1, -2)


def wrong_attention_maps__layers_from_the_end(plm, sequence):
    """Counts the layers from the last to the first.

    message: order
    message: reverse
    message: last layer
    """
    return full(plm, sequence)[..., 1:-1, 1:-1].flip(0)


def wrong_attention_maps__sdpa_stops(plm, sequence):
    """With sdpa, transformers returns no attention at all, and there is nothing to stack.

    message: eager
    message: RuntimeError
    """
    attentions = plm.forward(plm.tokenize([sequence]), output_attentions=True).attentions
    return torch.stack(list(attentions or [])).squeeze(1)[..., 1:-1, 1:-1]


def wrong_attention_maps__sdpa_gives_nothing(plm, sequence):
    """The same, but what comes out is an empty array.

    message: eager
    message: empty
    """
    attentions = plm.forward(plm.tokenize([sequence]), output_attentions=True).attentions
    return np.array([layer[0, :, 1:-1, 1:-1].numpy() for layer in attentions or ()])


def wrong_attention_maps__forgets_output_attentions(plm, sequence):
    """Never asks for the attention: the output's field is None.

    message: output_attentions
    message: TypeError
    """
    before = plm.config._attn_implementation
    plm.model.set_attn_implementation("eager")
    attentions = plm.forward(plm.tokenize([sequence])).attentions
    plm.model.set_attn_implementation(before)
    return torch.stack(attentions)[:, 0, :, 1:-1, 1:-1]


def wrong_attention_maps__without_rotary(plm, sequence):
    """softmax(QK) by hand, without the rotary embeddings: no position enters.

    message: rotary
    message: differ
    """
    return by_hand(plm, sequence, lambda q, k, cos, sin: (q @ k.transpose(-1, -2)).softmax(-1))[..., 1:-1, 1:-1]


def wrong_attention_maps__without_scale(plm, sequence):
    """softmax(QK) by hand with rotary embeddings, but never divided by the root of the head's width.

    message: root
    message: scale
    message: differ
    """
    def attention(query, key, cos, sin):
        query, key = apply_rotary_pos_emb(query, key, cos, sin, unsqueeze_dim=1)
        return (query.shape[-1]**0.5 * query @ key.transpose(-1, -2)).softmax(-1)

    return by_hand(plm, sequence, attention)[..., 1:-1, 1:-1]


def wrong_attention_maps__before_softmax(plm, sequence):
    """The products of queries and keys, before the softmax.

    message: softmax
    message: negative
    """
    def attention(query, key, cos, sin):
        query, key = apply_rotary_pos_emb(query, key, cos, sin, unsqueeze_dim=1)
        return query @ key.transpose(-1, -2)

    return by_hand(plm, sequence, attention)[..., 1:-1, 1:-1]


def wrong_attention_maps__softmax_over_queries(plm, sequence):
    """The softmax by hand along the wrong axis.

    message: softmax
    message: rows
    message: columns
    """
    def attention(query, key, cos, sin):
        query, key = apply_rotary_pos_emb(query, key, cos, sin, unsqueeze_dim=1)
        return (query @ key.transpose(-1, -2)).softmax(-2)

    return by_hand(plm, sequence, attention)[..., 1:-1, 1:-1]


def wrong_attention_maps__left_in_training(plm, sequence):
    """Right maps, but the model stays in training mode.

    message: training mode
    """
    plm.model.train()
    return full(plm, sequence)[..., 1:-1, 1:-1]


def wrong_attention_maps__new_model(plm, sequence):
    """Makes an eager model from the configuration: its weights are random.

    message: weights
    message: differ
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = type(plm.model)._from_config(copy.deepcopy(plm.config), attn_implementation="eager").eval()
    with torch.no_grad():
        attentions = model(plm.tokenize([sequence]), output_attentions=True).attentions
    return torch.cat(attentions)[..., 1:-1, 1:-1]


def wrong_attention_maps__lower_case(plm, sequence):
    """Hands the text to the tokenizer as it is: lower case becomes one <unk>.

    message: lower case
    """
    tokens = plm.tokenizer([sequence], return_tensors="pt").input_ids
    return torch.cat(layers_of(plm, tokens))[..., 1:-1, 1:-1]


def wrong_attention_maps__masked_row_by_row(plm, sequence):
    """Masks each residue in turn, as for scoring: the row of a residue that the model does not see.

    message: mask
    message: differ
    """
    tokens, rows = plm.tokenize([sequence]), []
    for place in range(1, tokens.shape[1] - 1):
        masked = tokens.clone()
        masked[0, place] = MASK
        rows.append(torch.cat(layers_of(plm, masked))[..., place, 1:-1])
    return torch.stack(rows, dim=-2)


def wrong_attention_maps__letter_by_letter(plm, sequence):
    """Tokenises a text as a list of one-letter sequences: only the first residue is read.

    message: has shape
    message: [sequence]
    """
    return torch.stack(layers_of(plm, plm.tokenize(list(sequence))), dim=1)[0][..., 1:-1, 1:-1]


def wrong_attention_maps__nothing(plm, sequence):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    full(plm, sequence)[..., 1:-1, 1:-1]


def right_attention_maps__switch(plm, sequence):
    plm.model.set_attn_implementation("eager")
    attentions = plm.forward(plm.tokenize([sequence]), output_attentions=True).attentions
    return torch.stack(attentions, dim=1)[0, :, :, 1:-1, 1:-1]


def right_attention_maps__copied_model(plm, sequence):
    model = copy.deepcopy(plm.model)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        output = model(plm.tokenize([sequence]), output_attentions=True)
    return torch.cat(output["attentions"])[..., 1:-1, 1:-1]


def right_attention_maps__numpy(plm, sequence):
    residues = np.arange(1, len(sequence) + 1)
    maps = [layer[0].float().cpu().numpy() for layer in layers_of(plm, plm.tokenize([sequence]))]
    return np.array([[head[np.ix_(residues, residues)] for head in layer] for layer in maps])


def right_attention_maps__mask_of_residues(plm, sequence):
    tokens = plm.tokenize([sequence])
    residues = ((tokens[0] >= 4) & (tokens[0] <= 28)).nonzero().squeeze(1)
    maps = torch.stack(layers_of(plm, tokens)).squeeze(1)
    return maps.index_select(-1, residues).index_select(-2, residues)


def right_attention_maps__by_hand(plm, sequence):
    def attention(query, key, cos, sin):
        query, key = apply_rotary_pos_emb(query, key, cos, sin, unsqueeze_dim=1)
        return torch.einsum("bhid,bhjd->bhij", query, key).softmax(-1)

    return by_hand(plm, sequence, attention)[..., 1:-1, 1:-1]


def right_attention_maps__fair_esm(plm, sequence):
    model, _ = to_fair_esm(plm)
    with torch.no_grad():
        output = model(plm.tokenize([sequence]).cpu(), need_head_weights=True)
    return output["attentions"][0][..., 1:-1, 1:-1]


def right_attention_maps__loop_over_layers(plm, sequence):
    plm.model.set_attn_implementation("eager")
    found = None
    for number, layer in enumerate(plm.forward(plm.tokenize([sequence]), output_attentions=True).attentions):
        if found is None:
            depth, length = plm.config.num_hidden_layers, len(sequence)
            found = torch.zeros(depth, layer.shape[1], length, length)
        found[number] = layer[0, :, 1:length + 1, 1:length + 1]
    return found
