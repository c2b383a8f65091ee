"""Exercise 3.1, embed."""
import torch


def wrong_embed__keeps_special_tokens(plm, sequences, layer=-1):
    """<cls> and <eos> are still there.

    message: <cls> and <eos> are still in it
    """
    found = []
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer]
        found.append(states[0])
    return found


def wrong_embed__keeps_bos(plm, sequences, layer=-1):
    """Only <eos> is cut off.

    message: <cls> or <eos> is still in it
    """
    found = []
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer]
        found.append(states[0, :-1])
    return found


def wrong_embed__keeps_eos(plm, sequences, layer=-1):
    """Only <cls> is cut off.

    message: <cls> or <eos> is still in it
    """
    found = []
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer]
        found.append(states[0, 1:])
    return found


def wrong_embed__first_rows(plm, sequences, layer=-1):
    """The right number of rows, but they begin at <cls>: off by one.

    message: Row 0 of your matrix is <cls>
    """
    states = plm.forward(plm.tokenize(sequences), output_hidden_states=True).hidden_states[layer] if sequences else []
    return [state[:len(sequence)] for state, sequence in zip(states, sequences)]


def wrong_embed__off_by_one_to_the_right(plm, sequences, layer=-1):
    """The first residue is lost and <eos> comes in: off by one the other way.

    message: you cut one row too many at the front
    """
    states = plm.forward(plm.tokenize(sequences), output_hidden_states=True).hidden_states[layer] if sequences else []
    return [state[2:len(sequence) + 2] for state, sequence in zip(states, sequences)]


def wrong_embed__padding_rows(plm, sequences, layer=-1):
    """Cuts the first and last column of the whole batch: shorter proteins keep <eos> and padding.

    message: still holds the padding of its batch
    """
    if not sequences:
        return []
    states = plm.forward(plm.tokenize(sequences), output_hidden_states=True).hidden_states[layer]
    return list(states[:, 1:-1])


def wrong_embed__no_attention_mask(plm, sequences, layer=-1):
    """The model is run without an attention mask, so residues look at padding: wrong in a batch only.

    message: the model sees the padding
    """
    if not sequences:
        return []
    with torch.no_grad():
        states = plm.model(plm.tokenize(sequences), output_hidden_states=True).hidden_states[layer]
    return [state[1:len(sequence) + 1] for state, sequence in zip(states, sequences)]


def wrong_embed__longest_first(plm, sequences, layer=-1):
    """Sorted by length to save padding, and never put back in order.

    message: asked for is the order of the sequences
    """
    found = []
    for sequence in sorted(sequences, key=len, reverse=True):
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer]
        found.append(states[0, 1:-1])
    return found


def wrong_embed__alphabetical(plm, sequences, layer=-1):
    """Returned in alphabetical order of the sequences.

    message: asked for is the order of the sequences
    """
    found = []
    for sequence in sorted(sequences):
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer]
        found.append(states[0, 1:-1])
    return found


def wrong_embed__ignores_layer(plm, sequences, layer=-1):
    """Always the last layer, whatever is asked for.

    message: the argument is not used
    """
    found = []
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[-1]
        found.append(states[0, 1:-1])
    return found


def wrong_embed__layer_without_embedding(plm, sequences, layer=-1):
    """Counts blocks from 0, so layer 1 gives block 2 and the input embedding cannot be had; -1 is right.

    message: layer=1 gives hidden state 2
    """
    found = []
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[1:][layer]
        found.append(states[0, 1:-1])
    return found


def wrong_embed__layer_minus_one(plm, sequences, layer=-1):
    """Counts layers from 1: layer 1 gives the input embedding; -1 is treated apart and right.

    message: layer=1 gives hidden state 0
    """
    found = []
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states
        found.append(states[layer if layer == -1 else layer - 1][0, 1:-1])
    return found


def wrong_embed__layer_zero_is_last(plm, sequences, layer=-1):
    """`layer or -1` turns layer 0 into the last one.

    message: Beware of `layer or -1`
    """
    found = []
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer or -1]
        found.append(states[0, 1:-1])
    return found


def wrong_embed__before_final_norm(plm, sequences, layer=-1):
    """Takes what the last block puts out, before the final LayerNorm.

    message: comes after the final LayerNorm
    """
    found = []
    for sequence in sequences:
        caught = []
        last_block = plm.model.esm.encoder.layer[-1]
        hook = last_block.register_forward_hook(lambda module, inputs, output: caught.append(output))
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states
        hook.remove()
        last = caught[0][0] if isinstance(caught[0], tuple) else caught[0]
        is_last = layer in (-1, len(states) - 1)
        found.append((last if is_last else states[layer])[0, 1:-1])
    return found


def wrong_embed__norm_on_every_layer(plm, sequences, layer=-1):
    """Applies the final LayerNorm to intermediate layers too.

    message: goes through the final LayerNorm
    """
    found = []
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states
        state = states[layer]
        if layer not in (-1, len(states) - 1):
            state = plm.model.esm.encoder.emb_layer_norm_after(state).detach()
        found.append(state[0, 1:-1])
    return found


def wrong_embed__loses_repeats(plm, sequences, layer=-1):
    """Collected in a dictionary by sequence: a protein that comes twice is returned once.

    message: Repeated sequences must appear
    """
    found = {}
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer]
        found[sequence] = states[0, 1:-1]
    return list(found.values())


def wrong_embed__place_by_index(plm, sequences, layer=-1):
    """Finds the place with sequences.index: the second copy of a protein stays None.

    message: Repeated sequences must appear
    """
    found = [None] * len(sequences)
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer]
        found[sequences.index(sequence)] = states[0, 1:-1]
    return found


def wrong_embed__empty_list_fails(plm, sequences, layer=-1):
    """Runs the model on nothing when the list is empty.

    message: (plm, [])
    """
    tokens = plm.tokenize(sequences)
    states = plm.forward(tokens, output_hidden_states=True).hidden_states[layer]
    return [states[i, 1:len(sequences[i]) + 1] for i in range(len(sequences))]


def wrong_embed__logits(plm, sequences, layer=-1):
    """Returns logits (33 columns) instead of hidden states.

    message: 33 is the number of logits
    """
    return [plm.forward(plm.tokenize([sequence])).logits[0, 1:-1] for sequence in sequences]


def wrong_embed__stacked(plm, sequences, layer=-1):
    """Returns one padded tensor instead of a list.

    message: returned a Tensor; asked for is a list
    """
    if not sequences:
        return []
    return plm.forward(plm.tokenize(sequences), output_hidden_states=True).hidden_states[layer][:, 1:-1]


def wrong_embed__batch_dimension_left(plm, sequences, layer=-1):
    """Each entry is [1, L, D].

    message: has shape (1, 3, 16)
    """
    found = []
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer]
        found.append(states[:, 1:-1])
    return found


def wrong_embed__pooled(plm, sequences, layer=-1):
    """Averages over the residues: one vector per protein.

    message: has shape (16,)
    """
    found = []
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer]
        found.append(states[0, 1:-1].mean(0))
    return found


def wrong_embed__length_of_the_first(plm, sequences, layer=-1):
    """Cuts every protein at the length of the first one: right when all are equally long.

    message: The matrix of 'ACDEFG' has 3 rows
    """
    if not sequences:
        return []
    states = plm.forward(plm.tokenize(sequences), output_hidden_states=True).hidden_states[layer]
    return [state[1:len(sequences[0]) + 1] for state in states]


def wrong_embed__only_the_first(plm, sequences, layer=-1):
    """Returns after the first protein.

    message: embed returned 1 matrices for 2 sequences
    """
    found = []
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer]
        found.append(states[0, 1:-1])
        return found
    return found


def wrong_embed__last_batch_lost(plm, sequences, layer=-1):
    """Batches of four; a last batch that is not full is dropped.

    message: embed returned 0 matrices for 2 sequences
    """
    found = []
    for start in range(0, len(sequences) // 4 * 4, 4):
        batch = sequences[start:start + 4]
        states = plm.forward(plm.tokenize(batch), output_hidden_states=True).hidden_states[layer]
        found += [state[1:len(sequence) + 1] for state, sequence in zip(states, batch)]
    return found


def wrong_embed__truncates_long_ones(plm, sequences, layer=-1):
    """The tokenizer is told to truncate at 128 tokens: right for short proteins.

    message: nothing may be cut off
    """
    if not sequences:
        return []
    upper = [sequence.upper() for sequence in sequences]
    batch = plm.tokenizer(upper, padding=True, truncation=True, max_length=128, return_tensors="pt")
    with torch.no_grad():
        states = plm.model(**batch.to(plm.device), output_hidden_states=True).hidden_states[layer]
    return [state[1:len(sequence) + 1] for state, sequence in zip(states, sequences)]


def wrong_embed__lower_case_unknown(plm, sequences, layer=-1):
    """The raw tokenizer reads a lower-case protein as one <unk>.

    message: Lower-case letters should be read as upper case
    """
    found = []
    for sequence in sequences:
        batch = plm.tokenizer([sequence], return_tensors="pt").to(plm.device)
        with torch.no_grad():
            found.append(plm.model(**batch, output_hidden_states=True).hidden_states[layer][0, 1:-1])
    return found


def wrong_embed__returns_none(plm, sequences, layer=-1):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    for sequence in sequences:
        plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer][0, 1:-1]


def wrong_embed__training_mode(plm, sequences, layer=-1):
    """Leaves the model in training mode.

    message: in training mode
    """
    plm.model.train()
    found = []
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer]
        found.append(states[0, 1:-1])
    return found


def right_embed__one_by_one(plm, sequences, layer=-1):
    found = []
    for sequence in sequences:
        states = plm.forward(plm.tokenize([sequence]), output_hidden_states=True).hidden_states[layer]
        found.append(states[0, 1:-1])
    return found


def right_embed__one_batch(plm, sequences, layer=-1):
    if len(sequences) == 0:
        return []
    states = plm.forward(plm.tokenize(sequences), output_hidden_states=True).hidden_states[layer]
    return [state[1:1 + len(sequence)] for state, sequence in zip(states, sequences)]


def right_embed__raw_transformers(plm, sequences, layer=-1):
    found = []
    for start in range(0, len(sequences), 3):
        batch = plm.tokenizer([s.upper() for s in sequences[start:start + 3]], padding=True, return_tensors="pt")
        with torch.no_grad():
            states = plm.model(**batch.to(plm.device), output_hidden_states=True)["hidden_states"][layer]
        for row, mask in zip(states, batch["attention_mask"]):
            found.append(row[:int(mask.sum())][1:-1].clone())
    return found


def right_embed__sorted_and_put_back(plm, sequences, layer=-1):
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    found = [None] * len(sequences)
    for i in order:
        found[i] = plm.forward(plm.tokenize([sequences[i]]), output_hidden_states=True).hidden_states[layer][0, 1:-1]
    return found


def right_embed__boolean_mask(plm, sequences, layer=-1):
    found = []
    for sequence in sequences:
        tokens = plm.tokenize([sequence])
        states = plm.forward(tokens, output_hidden_states=True).hidden_states[layer]
        found.append(states[(tokens > 3) & (tokens < 29)])
    return found


def wrong_embed__gradient_kept(plm, sequences, layer=-1):
    """Runs the model without torch.no_grad().

    message: under torch.no_grad()
    """
    found = []
    for sequence in sequences:
        tokens = plm.tokenize([sequence])
        output = plm.model(input_ids=tokens, attention_mask=torch.ones_like(tokens), output_hidden_states=True)
        found.append(output.hidden_states[layer][0, 1:-1])
    return found


def right_embed__encoder_by_hand(plm, sequences, layer=-1):
    found = []
    for sequence in sequences:
        tokens = plm.tokenize([sequence])
        with torch.no_grad():
            output = plm.model.esm(tokens, attention_mask=tokens != 1, output_hidden_states=True)
        depth = plm.config.num_hidden_layers
        state = output.last_hidden_state if layer in (-1, depth) else output.hidden_states[layer]
        found.append(state.squeeze(0)[1:-1])
    return found
