"""Exercise 1.1, mask_tokens."""
import numpy as np
import torch


def _bert(tokens, selected, generator):
    """Labels and the 80/10/10 corruption of the selected positions, done right."""
    labels = torch.where(selected, tokens, -100)
    fate = torch.rand(tokens.shape, generator=generator)
    drawn = torch.randint(4, 24, tokens.shape, generator=generator)
    corrupted = torch.where(selected & (fate < 0.8), 32, tokens)
    corrupted = torch.where(selected & (fate >= 0.8) & (fate < 0.9), drawn, corrupted)
    return corrupted, labels


def _residues(tokens):
    return (tokens >= 4) & (tokens <= 23)


# ------------------------------------------------------------------------------------------------ which are selected

def wrong_mask_tokens__specials_too(tokens, generator, mask_prob=0.15):
    """Selects from all tokens: <cls>, <eos> and padding can be hidden.

    message: <cls>
    """
    return _bert(tokens, torch.rand(tokens.shape, generator=generator) < mask_prob, generator)


def wrong_mask_tokens__only_padding_left_out(tokens, generator, mask_prob=0.15):
    """Leaves out padding, but <cls> and <eos> can be hidden.

    message: <cls>
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & (tokens != 1)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__cls_left_out_only(tokens, generator, mask_prob=0.15):
    """Leaves out <cls> and padding, forgets <eos>.

    message: <eos>
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & (tokens > 1)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__padding_is_zero(tokens, generator, mask_prob=0.15):
    """Believes that id 0 is padding: <pad> (1) can be hidden.

    message: <pad>
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & (tokens != 0) & (tokens != 2)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__first_and_last_column(tokens, generator, mask_prob=0.15):
    """Leaves out the first and the last column: right for one protein, not in a padded batch.

    message: <eos>
    message: <pad>
    """
    selected = torch.rand(tokens.shape, generator=generator) < mask_prob
    selected[:, 0] = selected[:, -1] = False
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__x_counts_as_residue(tokens, generator, mask_prob=0.15):
    """Selects X, B, U, Z and O (24 to 28) as well.

    message: X, B, U, Z, O can be selected
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & (tokens >= 4) & (tokens <= 28)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__everything_from_four(tokens, generator, mask_prob=0.15):
    """`>= 4` selects X and a <mask> that is there already.

    message: X, B, U, Z, O
    message: <mask> can be
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & (tokens >= 4)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__to_x_included(tokens, generator, mask_prob=0.15):
    """`<= 24` is one too far: X.

    message: X can be selected
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & (tokens >= 4) & (tokens <= 24)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__leucine_never(tokens, generator, mask_prob=0.15):
    """`> 4` never selects leucine, id 4.

    message: L are never selected
    message: L is never selected
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & (tokens > 4) & (tokens <= 23)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__cysteine_never(tokens, generator, mask_prob=0.15):
    """`< 23` never selects cysteine, id 23.

    message: C are never selected
    message: C is never selected
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & (tokens >= 4) & (tokens < 23)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__nothing_selected(tokens, generator, mask_prob=0.15):
    """Turns the comparison of the ids around, so that no token is both.

    message: Nothing is changed
    message: Nothing is selected
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & (tokens < 4) & (tokens > 23)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__85_percent(tokens, generator, mask_prob=0.15):
    """Compares the wrong way round: 85 % are selected.

    message: 85.0% of the residues are selected
    """
    selected = (torch.rand(tokens.shape, generator=generator) > mask_prob) & _residues(tokens)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__mask_prob_ignored(tokens, generator, mask_prob=0.15):
    """0.15 stands in the code, whatever the argument says.

    message: mask_prob is not used
    """
    return _bert(tokens, (torch.rand(tokens.shape, generator=generator) < 0.15) & _residues(tokens), generator)


def wrong_mask_tokens__rand_is_normal(tokens, generator, mask_prob=0.15):
    """randn instead of rand: 56 % are selected.

    message: of the residues are selected for mask_prob=0.15
    """
    return _bert(tokens, (torch.randn(tokens.shape, generator=generator) < mask_prob) & _residues(tokens), generator)


def wrong_mask_tokens__labels_of_the_masked_only(tokens, generator, mask_prob=0.15):
    """Only what became <mask> is to be guessed: the kept and the exchanged residues lose their label.

    message: have the label -100
    """
    corrupted, labels = _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens),
                              generator)
    return corrupted, torch.where(corrupted == 32, labels, -100)


def wrong_mask_tokens__labels_where_changed(tokens, generator, mask_prob=0.15):
    """Labels only where the tokens differ: those that stay are never guessed.

    message: left unchanged have
    message: that stay have
    message: unchanged residue
    message: stayed the same
    """
    corrupted, labels = _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens),
                              generator)
    return corrupted, torch.where(corrupted != tokens, labels, -100)


def wrong_mask_tokens__same_number_per_protein(tokens, generator, mask_prob=0.15):
    """Exactly 15 % of each protein, without independence.

    message: independent
    """
    selected = torch.zeros_like(tokens, dtype=torch.bool)
    for row, ids in enumerate(tokens):
        places = _residues(ids).nonzero().flatten()
        shuffled = places[torch.randperm(len(places), generator=generator)]
        selected[row, shuffled[:round(mask_prob * len(places))]] = True
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__same_number_per_batch(tokens, generator, mask_prob=0.15):
    """Exactly 15 % of the batch, without independence.

    message: independent
    """
    places = _residues(tokens).flatten().nonzero().flatten()
    shuffled = places[torch.randperm(len(places), generator=generator)]
    selected = torch.zeros(tokens.numel(), dtype=torch.bool)
    selected[shuffled[:round(mask_prob * len(places))]] = True
    return _bert(tokens, selected.reshape(tokens.shape), generator)


def wrong_mask_tokens__same_columns_in_every_row(tokens, generator, mask_prob=0.15):
    """One draw per column: all proteins are hidden at the same places.

    message: for each residue of each protein
    """
    selected = (torch.rand(tokens.shape[1], generator=generator) < mask_prob) & _residues(tokens)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__whole_proteins(tokens, generator, mask_prob=0.15):
    """One draw per protein: a protein is selected as a whole or not at all.

    message: for each residue of each protein
    """
    selected = (torch.rand(len(tokens), 1, generator=generator) < mask_prob) & _residues(tokens)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__a_span(tokens, generator, mask_prob=0.15):
    """One stretch per protein, as in span masking: neighbours are selected together.

    message: for each residue of each protein
    message: neighbour
    """
    selected = torch.zeros_like(tokens, dtype=torch.bool)
    for row, ids in enumerate(tokens):
        places = _residues(ids).nonzero().flatten()
        size = round(mask_prob * len(places))
        start = int(torch.randint(0, max(1, len(places) - size + 1), (1,), generator=generator))
        selected[row, places[start:start + size]] = True
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__every_seventh(tokens, generator, mask_prob=0.15):
    """Every seventh residue: about 15 %, but no chance in it.

    message: for each residue of each protein
    message: Seeds 0 and 1
    """
    step = max(1, round(1 / mask_prob)) if mask_prob > 0 else tokens.shape[1] + 1
    column = torch.arange(tokens.shape[1])
    return _bert(tokens, (column % step == 0) & _residues(tokens), generator)


def wrong_mask_tokens__at_least_one(tokens, generator, mask_prob=0.15):
    """Forces one selected residue per protein, so that the loss is never empty.

    message: For mask_prob=0
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    for row in range(len(tokens)):
        if not selected[row].any():
            selected[row, 1] = bool(_residues(tokens)[row, 1])
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__first_protein_only(tokens, generator, mask_prob=0.15):
    """Corrupts the first row only.

    message: first row
    message: first protein
    message: Some proteins
    message: other rows
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    selected[1:] = False
    return _bert(tokens, selected, generator)


# ---------------------------------------------------------------------------------------------------- what they become

def wrong_mask_tokens__all_masked(tokens, generator, mask_prob=0.15):
    """Everything selected becomes <mask>.

    message: 100.0% become <mask>
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    return tokens.masked_fill(selected, 32), tokens.masked_fill(~selected, -100)


def wrong_mask_tokens__tenth_of_the_rest(tokens, generator, mask_prob=0.15):
    """10 % of the remaining 20 % are exchanged, not half of them: 80, 2 and 18 %.

    message: it must be one half
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    masked = selected & (torch.rand(tokens.shape, generator=generator) < 0.8)
    exchanged = selected & ~masked & (torch.rand(tokens.shape, generator=generator) < 0.1)
    corrupted = tokens.masked_fill(masked, 32)
    corrupted[exchanged] = torch.randint(4, 24, (int(exchanged.sum()),), generator=generator)
    return corrupted, tokens.masked_fill(~selected, -100)


def wrong_mask_tokens__masked_exchanged_again(tokens, generator, mask_prob=0.15):
    """Draws 80 % and 10 % separately, so that masked positions are exchanged as well: 72, 10 and 18 %.

    message: Asked for: 80 % <mask>
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    masked = selected & (torch.rand(tokens.shape, generator=generator) < 0.8)
    exchanged = selected & (torch.rand(tokens.shape, generator=generator) < 0.1)
    corrupted = tokens.masked_fill(masked, 32)
    corrupted[exchanged] = torch.randint(4, 24, (int(exchanged.sum()),), generator=generator)
    return corrupted, tokens.masked_fill(~selected, -100)


def wrong_mask_tokens__same_draw_twice(tokens, generator, mask_prob=0.15):
    """Uses the draw that selected for the split too: all below 0.15, so all below 0.8.

    message: 100.0% become <mask>
    message: same draw
    """
    draw = torch.rand(tokens.shape, generator=generator)
    selected = (draw < mask_prob) & _residues(tokens)
    corrupted = torch.where(selected & (draw < 0.8), 32, tokens)
    exchanged = selected & (draw >= 0.8) & (draw < 0.9)
    corrupted[exchanged] = torch.randint(4, 24, (int(exchanged.sum()),), generator=generator)
    return corrupted, tokens.masked_fill(~selected, -100)


def wrong_mask_tokens__no_unchanged(tokens, generator, mask_prob=0.15):
    """80 % masked, 20 % exchanged, none stays.

    message: Nothing is left as it was
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    masked = selected & (torch.rand(tokens.shape, generator=generator) < 0.8)
    corrupted = torch.where(selected & ~masked, torch.randint(4, 24, tokens.shape, generator=generator), tokens)
    return corrupted.masked_fill(masked, 32), tokens.masked_fill(~selected, -100)


def wrong_mask_tokens__none_exchanged(tokens, generator, mask_prob=0.15):
    """80 % masked, 20 % stay.

    message: No random residues
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    masked = selected & (torch.rand(tokens.shape, generator=generator) < 0.8)
    return tokens.masked_fill(masked, 32), tokens.masked_fill(~selected, -100)


def wrong_mask_tokens__fate_per_protein(tokens, generator, mask_prob=0.15):
    """One draw per protein decides on 80/10/10: all selected residues of a protein share their fate.

    message: on its own
    message: independent
    message: for each residue
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    fate = torch.rand(len(tokens), 1, generator=generator)
    drawn = torch.randint(4, 24, tokens.shape, generator=generator)
    corrupted = torch.where(selected & (fate < 0.8), 32, tokens)
    corrupted = torch.where(selected & (fate >= 0.8) & (fate < 0.9), drawn, corrupted)
    return corrupted, torch.where(selected, tokens, -100)


def wrong_mask_tokens__exact_quotas(tokens, generator, mask_prob=0.15):
    """Exactly 80, 10 and 10 % of the selected positions, instead of a draw for each.

    message: on its own
    message: independent
    message: for each residue
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    places = selected.flatten().nonzero().flatten()
    places = places[torch.randperm(len(places), generator=generator)]
    first, second = int(0.8 * len(places)), int(0.9 * len(places))
    corrupted = tokens.flatten().clone()
    corrupted[places[:first]] = 32
    corrupted[places[first:second]] = torch.randint(4, 24, (second - first,), generator=generator)
    return corrupted.reshape(tokens.shape), torch.where(selected, tokens, -100)


def wrong_mask_tokens__first_are_masked(tokens, generator, mask_prob=0.15):
    """The first 80 % of the selected positions are masked, the last ones of the batch stay: no chance in the split.

    message: on its own
    message: independent
    message: for each residue
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    places = selected.flatten().nonzero().flatten()
    first, second = int(0.8 * len(places)), int(0.9 * len(places))
    corrupted = tokens.flatten().clone()
    corrupted[places[:first]] = 32
    corrupted[places[first:second]] = torch.randint(4, 24, (second - first,), generator=generator)
    return corrupted.reshape(tokens.shape), torch.where(selected, tokens, -100)


def wrong_mask_tokens__whole_vocabulary(tokens, generator, mask_prob=0.15):
    """The random tokens come from all 33: <cls> in the middle of a protein.

    message: 4 to 23
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    fate = torch.rand(tokens.shape, generator=generator)
    corrupted = torch.where(selected & (fate < 0.8), 32, tokens)
    drawn = torch.randint(0, 33, tokens.shape, generator=generator)
    return torch.where(selected & (fate >= 0.9), drawn, corrupted), torch.where(selected, tokens, -100)


def wrong_mask_tokens__cysteine_never_drawn(tokens, generator, mask_prob=0.15):
    """randint(4, 23) leaves out its upper end: cysteine is never put in.

    message: C are never put in
    message: C is never put in
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    fate = torch.rand(tokens.shape, generator=generator)
    corrupted = torch.where(selected & (fate < 0.8), 32, tokens)
    drawn = torch.randint(4, 23, tokens.shape, generator=generator)
    return torch.where(selected & (fate >= 0.9), drawn, corrupted), torch.where(selected, tokens, -100)


def wrong_mask_tokens__leucine_never_drawn(tokens, generator, mask_prob=0.15):
    """randint(5, 24) begins one too late.

    message: L are never put in
    message: L is never put in
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    fate = torch.rand(tokens.shape, generator=generator)
    corrupted = torch.where(selected & (fate < 0.8), 32, tokens)
    drawn = torch.randint(5, 24, tokens.shape, generator=generator)
    return torch.where(selected & (fate >= 0.9), drawn, corrupted), torch.where(selected, tokens, -100)


def wrong_mask_tokens__x_drawn(tokens, generator, mask_prob=0.15):
    """randint(4, 25) ends one too late: X is put in.

    message: 4 to 23
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    fate = torch.rand(tokens.shape, generator=generator)
    corrupted = torch.where(selected & (fate < 0.8), 32, tokens)
    drawn = torch.randint(4, 25, tokens.shape, generator=generator)
    return torch.where(selected & (fate >= 0.9), drawn, corrupted), torch.where(selected, tokens, -100)


def wrong_mask_tokens__ids_from_zero(tokens, generator, mask_prob=0.15):
    """Believes that the 20 residues have the ids 0 to 19.

    message: 4 to 23
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    fate = torch.rand(tokens.shape, generator=generator)
    corrupted = torch.where(selected & (fate < 0.8), 32, tokens)
    drawn = torch.randint(0, 20, tokens.shape, generator=generator)
    return torch.where(selected & (fate >= 0.9), drawn, corrupted), torch.where(selected, tokens, -100)


def wrong_mask_tokens__one_letter_for_all(tokens, generator, mask_prob=0.15):
    """One draw for the whole batch: all exchanged residues become the same.

    message: All replaced residues become
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    fate = torch.rand(tokens.shape, generator=generator)
    corrupted = torch.where(selected & (fate < 0.8), 32, tokens)
    drawn = int(torch.randint(4, 24, (1,), generator=generator))
    return torch.where(selected & (fate >= 0.9), drawn, corrupted), torch.where(selected, tokens, -100)


def wrong_mask_tokens__letters_of_the_batch(tokens, generator, mask_prob=0.15):
    """Shuffles the batch's own residues instead of drawing uniformly: common residues are put in more often.

    message: asked for is a uniform draw
    """
    residue = _residues(tokens)
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & residue
    fate = torch.rand(tokens.shape, generator=generator)
    corrupted = torch.where(selected & (fate < 0.8), 32, tokens)
    pool = tokens[residue]
    drawn = pool[torch.randint(0, len(pool), tokens.shape, generator=generator)]
    return torch.where(selected & (fate >= 0.9), drawn, corrupted), torch.where(selected, tokens, -100)


def wrong_mask_tokens__rounded_normal(tokens, generator, mask_prob=0.15):
    """A rounded bell curve around the middle id: the draw is not uniform.

    message: where a uniform draw gives
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    fate = torch.rand(tokens.shape, generator=generator)
    corrupted = torch.where(selected & (fate < 0.8), 32, tokens)
    drawn = (13.5 + 4 * torch.randn(tokens.shape, generator=generator)).round().long().clamp(4, 23)
    return torch.where(selected & (fate >= 0.9), drawn, corrupted), torch.where(selected, tokens, -100)


def wrong_mask_tokens__next_letter(tokens, generator, mask_prob=0.15):
    """Moves the exchanged residues on by one id: no draw at all.

    message: asked for is a uniform draw
    message: no draw
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    fate = torch.rand(tokens.shape, generator=generator)
    corrupted = torch.where(selected & (fate < 0.8), 32, tokens)
    return torch.where(selected & (fate >= 0.9), (tokens - 4 + 1) % 20 + 4, corrupted), \
        torch.where(selected, tokens, -100)


def wrong_mask_tokens__never_the_original(tokens, generator, mask_prob=0.15):
    """Draws from the 19 other residues: the original is never hit.

    message: original
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    fate = torch.rand(tokens.shape, generator=generator)
    corrupted = torch.where(selected & (fate < 0.8), 32, tokens)
    other = (tokens - 4 + torch.randint(1, 20, tokens.shape, generator=generator)) % 20 + 4
    return torch.where(selected & (fate >= 0.9), other, corrupted), torch.where(selected, tokens, -100)


def wrong_mask_tokens__mask_is_31(tokens, generator, mask_prob=0.15):
    """Counts one short: 31 is <null_1>.

    message: <mask> is 32
    message: <mask> has the id 32
    message: 32 is <mask>
    message: (<mask>) is 32
    message: id 31
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    corrupted, labels = _bert(tokens, selected, generator)
    return torch.where(corrupted == 32, 31, corrupted), labels


def wrong_mask_tokens__mask_is_33(tokens, generator, mask_prob=0.15):
    """Believes that <mask> comes after the vocabulary.

    message: <mask> is 32
    message: <mask> has the id 32
    message: 32 is <mask>
    message: (<mask>) is 32
    message: id 33
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    corrupted, labels = _bert(tokens, selected, generator)
    return torch.where(corrupted == 32, 33, corrupted), labels


# -------------------------------------------------------------------------------------------------------- the labels

def wrong_mask_tokens__labels_everywhere(tokens, generator, mask_prob=0.15):
    """The labels are simply the tokens.

    message: the label must be -100
    """
    corrupted, _ = _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens),
                         generator)
    return corrupted, tokens.clone()


def wrong_mask_tokens__labels_turned_round(tokens, generator, mask_prob=0.15):
    """-100 where selected, the original elsewhere.

    message: The labels are the wrong way round
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    corrupted, _ = _bert(tokens, selected, generator)
    return corrupted, tokens.masked_fill(selected, -100)


def wrong_mask_tokens__labels_zero_elsewhere(tokens, generator, mask_prob=0.15):
    """Zero where not selected: the model would have to guess <cls>.

    message: not selected is [0]
    """
    corrupted, labels = _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens),
                              generator)
    return corrupted, torch.where(labels == -100, 0, labels)


def wrong_mask_tokens__labels_minus_one(tokens, generator, mask_prob=0.15):
    """-1 where not selected.

    message: not selected is [-1]
    """
    corrupted, labels = _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens),
                              generator)
    return corrupted, torch.where(labels == -100, -1, labels)


def wrong_mask_tokens__labels_of_the_corrupted(tokens, generator, mask_prob=0.15):
    """Takes the labels after the corruption: the model would have to guess <mask>.

    message: read from the corrupted tokens
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    corrupted, _ = _bert(tokens, selected, generator)
    return corrupted, torch.where(selected, corrupted, -100)


def wrong_mask_tokens__labels_shifted(tokens, generator, mask_prob=0.15):
    """The labels belong to the next token, as in a causal model.

    message: shift
    message: original id
    message: own id
    message: next
    message: neighbour
    """
    corrupted, labels = _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens),
                              generator)
    return corrupted, torch.roll(labels, -1, dims=1)


def wrong_mask_tokens__residue_numbers(tokens, generator, mask_prob=0.15):
    """Labels from 0 to 19 instead of token ids.

    message: original id
    message: own id
    message: minus 4
    message: token id
    message: 0 to 19
    """
    corrupted, labels = _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens),
                              generator)
    return corrupted, torch.where(labels == -100, -100, labels - 4)


def wrong_mask_tokens__labels_are_the_mask(tokens, generator, mask_prob=0.15):
    """Returns where it selected, True and False, instead of labels.

    message: labels is torch.bool
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    return _bert(tokens, selected, generator)[0], selected


def wrong_mask_tokens__float_labels(tokens, generator, mask_prob=0.15):
    """torch.full without a dtype gives decimal numbers: cross_entropy refuses them.

    message: labels is torch.float32
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    labels = torch.full(tokens.shape, -100.0)
    labels[selected] = tokens[selected].float()
    return _bert(tokens, selected, generator)[0], labels


def wrong_mask_tokens__flat_labels(tokens, generator, mask_prob=0.15):
    """Returns only the labels of the selected positions, in a row.

    message: labels has shape
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    return _bert(tokens, selected, generator)[0], tokens[selected]


def wrong_mask_tokens__turned_round(tokens, generator, mask_prob=0.15):
    """Returns (labels, corrupted).

    message: (corrupted, labels)
    message: order
    message: exchanged
    message: corrupted first
    """
    corrupted, labels = _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens),
                              generator)
    return labels, corrupted


def wrong_mask_tokens__corrupted_only(tokens, generator, mask_prob=0.15):
    """Forgets the labels.

    message: asked for are two tensors
    """
    return _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens), generator)[0]


def wrong_mask_tokens__nothing(tokens, generator, mask_prob=0.15):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens), generator)


# -------------------------------------------------------------------------------------------------- input and chance

def wrong_mask_tokens__in_place(tokens, generator, mask_prob=0.15):
    """Writes <mask> into the caller's tensor.

    message: changes its input
    """
    labels = torch.full_like(tokens, -100)
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    labels[selected] = tokens[selected]
    fate = torch.rand(tokens.shape, generator=generator)
    exchanged = selected & (fate >= 0.9)
    tokens[selected & (fate < 0.8)] = 32
    tokens[exchanged] = torch.randint(4, 24, (int(exchanged.sum()),), generator=generator)
    return tokens, labels


def wrong_mask_tokens__labels_in_place(tokens, generator, mask_prob=0.15):
    """`labels = tokens` is no copy: -100 lands in the caller's tensor.

    message: changes its input
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    corrupted, _ = _bert(tokens, selected, generator)
    labels = tokens
    labels[~selected] = -100
    return corrupted, labels


def wrong_mask_tokens__no_generator(tokens, generator, mask_prob=0.15):
    """Never uses the generator.

    message: pass generator=generator
    """
    return _bert(tokens, (torch.rand(tokens.shape) < mask_prob) & _residues(tokens), None)


def wrong_mask_tokens__selection_without_generator(tokens, generator, mask_prob=0.15):
    """Selects with PyTorch's global generator, splits with the one given.

    message: pass generator=generator
    """
    return _bert(tokens, (torch.rand(tokens.shape) < mask_prob) & _residues(tokens), generator)


def wrong_mask_tokens__split_without_generator(tokens, generator, mask_prob=0.15):
    """Selects with the generator, splits without it.

    message: lacks generator=generator
    """
    return _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens), None)


def wrong_mask_tokens__letters_without_generator(tokens, generator, mask_prob=0.15):
    """Forgets the generator in randint only: places agree, letters do not.

    message: lacks generator=generator
    """
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens)
    fate = torch.rand(tokens.shape, generator=generator)
    corrupted = torch.where(selected & (fate < 0.8), 32, tokens)
    exchanged = selected & (fate >= 0.9)
    corrupted[exchanged] = torch.randint(4, 24, (int(exchanged.sum()),))
    return corrupted, torch.where(selected, tokens, -100)


def wrong_mask_tokens__numpy_global(tokens, generator, mask_prob=0.15):
    """Draws with numpy's global state.

    message: Two generators with the same seed
    """
    selected = torch.from_numpy(np.random.rand(*tokens.shape) < mask_prob) & _residues(tokens)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__own_generator(tokens, generator, mask_prob=0.15):
    """A generator of its own with a fixed seed: the same places in every batch.

    message: Seeds 0 and 1 give the same result
    """
    generator = torch.Generator().manual_seed(0)
    return _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens), generator)


def wrong_mask_tokens__seeds_again(tokens, generator, mask_prob=0.15):
    """Sets the seed of the generator given: the same places in every batch.

    message: Seeds 0 and 1 give the same result
    """
    generator.manual_seed(42)
    return _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens), generator)


def wrong_mask_tokens__global_seed(tokens, generator, mask_prob=0.15):
    """Makes the global generator reproducible with the seed of the one given: a second call repeats the first.

    message: do not seed it anew
    """
    torch.manual_seed(generator.initial_seed())
    return _bert(tokens, (torch.rand(tokens.shape) < mask_prob) & _residues(tokens), None)


def wrong_mask_tokens__initial_seed(tokens, generator, mask_prob=0.15):
    """A new generator from the seed of the one given, which never advances: a second call repeats the first.

    message: do not seed it anew
    """
    own = torch.Generator().manual_seed(generator.initial_seed())
    return _bert(tokens, (torch.rand(tokens.shape, generator=own) < mask_prob) & _residues(tokens), own)


def wrong_mask_tokens__state_put_back(tokens, generator, mask_prob=0.15):
    """Leaves the generator as it was: a second call repeats the first.

    message: Two calls with one generator
    """
    state = generator.get_state()
    result = _bert(tokens, (torch.rand(tokens.shape, generator=generator) < mask_prob) & _residues(tokens), generator)
    generator.set_state(state)
    return result


def wrong_mask_tokens__square_batches_only(tokens, generator, mask_prob=0.15):
    """Draws a [B, B] matrix: stops for most batches.

    message: stopped with
    """
    selected = (torch.rand(len(tokens), len(tokens), generator=generator) < mask_prob) & _residues(tokens)
    return _bert(tokens, selected, generator)


def wrong_mask_tokens__swallows_errors(tokens, generator, mask_prob=0.15):
    """Something always fails inside, and the untouched batch comes back.

    message: Nothing is changed
    """
    try:
        selected = (torch.rand(tokens.shape, generator) < mask_prob) & _residues(tokens)
        return _bert(tokens, selected, generator)
    except TypeError:
        return tokens.clone(), torch.full_like(tokens, -100)


# ------------------------------------------------------------------------------------------------------ right answers

def right_mask_tokens__where(tokens, generator, mask_prob=0.15):
    residue = (tokens >= 4) & (tokens <= 23)
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & residue
    return _bert(tokens, selected, generator)


def right_mask_tokens__bernoulli(tokens, generator, mask_prob=0.15):
    """As transformers' collator does it: 80 % first, then half of the rest."""
    corrupted, labels = tokens.clone(), tokens.clone()
    chances = torch.full(labels.shape, float(mask_prob))
    chances.masked_fill_((tokens < 4) | (tokens > 23), 0.0)
    selected = torch.bernoulli(chances, generator=generator).bool()
    labels[~selected] = -100
    masked = torch.bernoulli(torch.full(labels.shape, 0.8), generator=generator).bool() & selected
    corrupted[masked] = 32
    exchanged = torch.bernoulli(torch.full(labels.shape, 0.5), generator=generator).bool() & selected & ~masked
    corrupted[exchanged] = torch.randint(4, 24, labels.shape, generator=generator)[exchanged]
    return corrupted, labels


def right_mask_tokens__one_draw(tokens, generator, mask_prob=0.15):
    """One uniform draw selects and splits; the letter comes from a second."""
    draw = torch.rand(tokens.shape, generator=generator, dtype=torch.float64)
    residue = torch.isin(tokens, torch.arange(4, 24))
    selected = residue & (draw < mask_prob)
    corrupted = tokens.masked_fill(residue & (draw < 0.8 * mask_prob), 32)
    exchanged = residue & (draw >= 0.8 * mask_prob) & (draw < 0.9 * mask_prob)
    letters = torch.randint(4, 24, tokens.shape, generator=generator)
    return torch.where(exchanged, letters, corrupted), tokens.masked_fill(~selected, -100)


def right_mask_tokens__everything_from_one_draw(tokens, generator, mask_prob=0.15):
    """One uniform number decides on selection, fate and letter."""
    draw = torch.rand(tokens.shape, generator=generator, dtype=torch.float64)
    residue = (tokens > 3) & (tokens < 24)
    share = draw / mask_prob if mask_prob > 0 else torch.full_like(draw, 2.0)  # below 1: selected
    selected = residue & (share < 1)
    letter = 4 + ((share - 0.8) / 0.1 * 20).floor().long().clamp(0, 19)
    corrupted = torch.where(selected & (share < 0.8), 32, tokens)
    corrupted = torch.where(selected & (share >= 0.8) & (share < 0.9), letter, corrupted)
    return corrupted, torch.where(selected, tokens, torch.full_like(tokens, -100))


def right_mask_tokens__loops(tokens, generator, mask_prob=0.15):
    corrupted, labels = tokens.tolist(), [[-100] * tokens.shape[1] for _ in tokens]
    draws = torch.rand(*tokens.shape, 3, generator=generator).tolist()
    for b, row in enumerate(tokens.tolist()):
        for t, token in enumerate(row):
            first, second, third = draws[b][t]
            if 4 <= token <= 23 and first < mask_prob:
                labels[b][t] = token
                if second < 0.8:
                    corrupted[b][t] = 32
                elif second < 0.9:
                    corrupted[b][t] = 4 + int(20 * third)
    return torch.tensor(corrupted), torch.tensor(labels)


def right_mask_tokens__numpy(tokens, generator, mask_prob=0.15):
    """numpy's generator, seeded from the one given: it remains the only source of randomness."""
    rng = np.random.default_rng(int(torch.randint(0, 2**62, (1,), generator=generator)))
    ids = tokens.numpy().copy()
    selected = (rng.random(ids.shape) < mask_prob) & (ids >= 4) & (ids <= 23)
    labels = np.where(selected, ids, -100)
    fate = rng.choice(3, size=ids.shape, p=[0.8, 0.1, 0.1])
    ids[selected & (fate == 0)] = 32
    ids[selected & (fate == 1)] = rng.integers(4, 24, size=(selected & (fate == 1)).sum())
    return torch.from_numpy(ids), torch.from_numpy(labels)


def right_mask_tokens__multinomial(tokens, generator, mask_prob=0.15):
    """The fate of each selected position from torch.multinomial, on a flat copy."""
    flat = tokens.flatten().clone()
    labels = torch.full_like(flat, -100)
    places = ((flat >= 4) & (flat <= 23)).nonzero().flatten()
    places = places[torch.rand(len(places), generator=generator) < mask_prob]
    labels[places] = flat[places]
    if len(places):
        fate = torch.multinomial(torch.tensor([0.8, 0.1, 0.1]), len(places), replacement=True, generator=generator)
        flat[places[fate == 0]] = 32
        exchanged = places[fate == 1]
        flat[exchanged] = torch.randint(4, 24, (len(exchanged),), generator=generator)
    return flat.reshape(tokens.shape), labels.reshape(tokens.shape)


def right_mask_tokens__binomial_number(tokens, generator, mask_prob=0.15):
    """First how many (binomial), then which: the same as a draw for each."""
    places = ((tokens >= 4) & (tokens <= 23)).nonzero()
    count = torch.binomial(torch.tensor(float(len(places))), torch.tensor(float(mask_prob)), generator=generator)
    chosen = places[torch.randperm(len(places), generator=generator)[:int(count)]]
    selected = torch.zeros(tokens.shape, dtype=torch.bool)
    selected[chosen[:, 0], chosen[:, 1]] = True
    return _bert(tokens, selected, generator)


def right_mask_tokens__list_of_results(tokens, generator, mask_prob=0.15):
    """Row by row, returned as a list of two tensors."""
    rows = [_bert(row, (torch.rand(row.shape, generator=generator) < mask_prob) & _residues(row), generator)
            for row in tokens]
    return [torch.stack(part) for part in zip(*rows)]
