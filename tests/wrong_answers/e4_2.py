"""Exercise 4.2, masked_marginals."""
import numpy as np
import torch


def wrong_masked_marginals__not_masked(plm, sequence):
    """One pass with everything visible: wild-type marginals.

    message: Nothing is masked in your input
    """
    tokens = plm.tokenize([sequence])
    log_probs = plm.forward(tokens).logits[0, 1:-1].log_softmax(-1)
    return log_probs[:, 4:24] - log_probs.gather(1, tokens[0, 1:-1, None])


def wrong_masked_marginals__masks_pile_up(plm, sequence):
    """Earlier masks are never taken back.

    message: The masks pile up
    """
    tokens = plm.tokenize([sequence])
    true, rows = tokens[0].tolist(), []
    for i in range(1, len(sequence) + 1):
        tokens[0, i] = 32
        log_probs = plm.forward(tokens).logits[0, i].log_softmax(-1)
        rows.append(log_probs[4:24] - log_probs[true[i]])
    return torch.stack(rows)


def wrong_masked_marginals__all_masked_at_once(plm, sequence):
    """Masks the whole protein and runs the model once.

    message: All positions are masked at once
    """
    tokens = plm.tokenize([sequence])
    masked = tokens.clone()
    masked[0, 1:-1] = 32
    log_probs = plm.forward(masked).logits[0, 1:-1].log_softmax(-1)
    return log_probs[:, 4:24] - log_probs.gather(1, tokens[0, 1:-1, None])


def wrong_masked_marginals__forgets_bos(plm, sequence):
    """Masks and reads token i for residue i, which is one too early.

    message: You mask and read one token too early
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(len(sequence)):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        rows.append(log_probs[4:24] - log_probs[tokens[0, i + 1]])
    return torch.stack(rows)


def wrong_masked_marginals__reads_one_early(plm, sequence):
    """Masks the right token, reads the row before.

    message: You mask the right token but read the one before
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(len(sequence)):
        masked = tokens.clone()
        masked[0, i + 1] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        rows.append(log_probs[4:24] - log_probs[tokens[0, i + 1]])
    return torch.stack(rows)


def wrong_masked_marginals__wild_type_of_the_neighbour(plm, sequence):
    """Subtracts the log-probability of the residue before.

    message: no change should score 0
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(len(sequence)):
        masked = tokens.clone()
        masked[0, i + 1] = 32
        log_probs = plm.forward(masked).logits[0, i + 1].log_softmax(-1)
        rows.append(log_probs[4:24] - log_probs[tokens[0, i]])
    return torch.stack(rows)


def wrong_masked_marginals__alphabetical_columns(plm, sequence):
    """Columns in the order A C D E ...

    message: The columns are in alphabetical order
    """
    tokens, rows = plm.tokenize([sequence]), []
    order = [plm.tokenizer.convert_tokens_to_ids(letter) for letter in "ACDEFGHIKLMNPQRSTVWY"]
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        rows.append(log_probs[order] - log_probs[tokens[0, i]])
    return torch.stack(rows)


def wrong_masked_marginals__wild_type_not_subtracted(plm, sequence):
    """log p(a) only.

    message: subtract the wild type's in each row
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        rows.append(plm.forward(masked).logits[0, i].log_softmax(-1)[4:24])
    return torch.stack(rows)


def wrong_masked_marginals__sign(plm, sequence):
    """log p(wild) - log p(a).

    message: The sign is turned
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        rows.append(log_probs[tokens[0, i]] - log_probs[4:24])
    return torch.stack(rows)


def wrong_masked_marginals__best_subtracted(plm, sequence):
    """Subtracts the most probable residue instead of the wild type.

    message: no change should score 0
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)[4:24]
        rows.append(log_probs - log_probs.max())
    return torch.stack(rows)


def wrong_masked_marginals__mean_subtracted(plm, sequence):
    """Subtracts the mean of the row instead of the wild type.

    message: no change should score 0
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)[4:24]
        rows.append(log_probs - log_probs.mean())
    return torch.stack(rows)


def wrong_masked_marginals__softmax_over_positions(plm, sequence):
    """log_softmax(0) over the positions.

    message: Your softmax runs over the positions
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0].log_softmax(0)[i]
        rows.append(log_probs[4:24] - log_probs[tokens[0, i]])
    return torch.stack(rows)


def wrong_masked_marginals__transposed(plm, sequence):
    """[20, L].

    message: has shape [20, 10]
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        rows.append(log_probs[4:24] - log_probs[tokens[0, i]])
    return torch.stack(rows, dim=1)


def wrong_masked_marginals__all_tokens(plm, sequence):
    """All 33 columns.

    message: has 33 columns
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        rows.append(log_probs - log_probs[tokens[0, i]])
    return torch.stack(rows)


def wrong_masked_marginals__nineteen_columns(plm, sequence):
    """4:23 loses cysteine.

    message: has shape [10, 19]
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        rows.append(log_probs[4:23] - log_probs[tokens[0, i]])
    return torch.stack(rows)


def wrong_masked_marginals__columns_shifted(plm, sequence):
    """5:25: one column too far.

    message: The columns begin one id too late
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        rows.append(log_probs[5:25] - log_probs[tokens[0, i]])
    return torch.stack(rows)


def wrong_masked_marginals__special_rows(plm, sequence):
    """<cls> and <eos> have rows too.

    message: <cls> and <eos> are in it
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(tokens.shape[1]):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        rows.append(log_probs[4:24] - log_probs[tokens[0, i]])
    return torch.stack(rows)


def wrong_masked_marginals__probabilities(plm, sequence):
    """Differences of probabilities.

    message: These are probabilities, not their logarithms
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        probs = plm.forward(masked).logits[0, i].softmax(-1)
        rows.append(probs[4:24] - probs[tokens[0, i]])
    return torch.stack(rows)


def wrong_masked_marginals__base_two(plm, sequence):
    """Bits instead of nats.

    message: base 2
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].softmax(-1).log2()
        rows.append(log_probs[4:24] - log_probs[tokens[0, i]])
    return torch.stack(rows)


def wrong_masked_marginals__chunk_index(plm, sequence):
    """In batches of 16 the mask is put relative to the batch: right for the first 16 residues.

    message: wrong for 70
    """
    tokens, rows = plm.tokenize([sequence]), []
    for start in range(0, len(sequence), 16):
        count = min(16, len(sequence) - start)
        masked = tokens.repeat(count, 1)
        masked[torch.arange(count), torch.arange(count) + 1] = 32
        log_probs = plm.forward(masked).logits[torch.arange(count), start + torch.arange(count) + 1].log_softmax(-1)
        rows.append(log_probs[:, 4:24] - log_probs.gather(1, tokens[0, start + 1:start + count + 1, None]))
    return torch.cat(rows)


def wrong_masked_marginals__last_batch_lost(plm, sequence):
    """Batches of 8; rows of a last batch that is not full stay zero.

    message: hold nothing but zeros
    """
    tokens = plm.tokenize([sequence])
    scores = torch.zeros(len(sequence), 20)
    for start in range(0, len(sequence) - 7, 8):
        places = torch.arange(start + 1, start + 9)
        masked = tokens.repeat(8, 1)
        masked[torch.arange(8), places] = 32
        log_probs = plm.forward(masked).logits[torch.arange(8), places].log_softmax(-1)
        scores[start:start + 8] = log_probs[:, 4:24] - log_probs.gather(1, tokens[0, places, None])
    return scores


def wrong_masked_marginals__first_copy(plm, sequence):
    """sequence.index(letter) finds the first such residue: right when none comes twice.

    message: A residue that comes a second time
    """
    tokens, rows = plm.tokenize([sequence]), []
    for letter in sequence:
        i = sequence.index(letter) + 1
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        rows.append(log_probs[4:24] - log_probs[tokens[0, i]])
    return torch.stack(rows)


def wrong_masked_marginals__every_copy_masked(plm, sequence):
    """str.replace masks every residue of that kind: right when none comes twice.

    message: You mask every residue of the same kind
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i, letter in enumerate(sequence.upper(), start=1):
        text = sequence.upper().replace(letter, "<mask>")
        masked = plm.tokenizer([text], return_tensors="pt").input_ids.to(plm.device)
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        rows.append(log_probs[4:24] - log_probs[tokens[0, i]])
    return torch.stack(rows)


def wrong_masked_marginals__nan_at_wild_type(plm, sequence):
    """The wild type gets nan, not zero.

    message: scores nan for keeping M
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        row = log_probs[4:24] - log_probs[tokens[0, i]]
        row[tokens[0, i] - 4] = float("nan")
        rows.append(row)
    return torch.stack(rows)


def wrong_masked_marginals__x_as_mask(plm, sequence):
    """Writes X where <mask> belongs.

    message: The table is not log p(a) - log p(wild type)
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 24
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        rows.append(log_probs[4:24] - log_probs[tokens[0, i]])
    return torch.stack(rows)


def wrong_masked_marginals__mask_taken_out(plm, sequence):
    """Deletes the residue instead of masking it.

    message: The table is not log p(a) - log p(wild type)
    """
    tokens, rows = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        shorter = torch.cat([tokens[:, :i], tokens[:, i + 1:]], dim=1)
        log_probs = plm.forward(shorter).logits[0, i].log_softmax(-1)
        rows.append(log_probs[4:24] - log_probs[tokens[0, i]])
    return torch.stack(rows)


def wrong_masked_marginals__last_row_only(plm, sequence):
    """Returns only the last row.

    message: has shape [20]
    """
    tokens = plm.tokenize([sequence])
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        row = log_probs[4:24] - log_probs[tokens[0, i]]
    return row


def wrong_masked_marginals__nothing(plm, sequence):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    tokens = plm.tokenize([sequence])
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32


def right_masked_marginals__loop(plm, sequence):
    tokens = plm.tokenize([sequence])
    scores = torch.zeros(len(sequence), 20)
    for i in range(len(sequence)):
        masked = tokens.clone()
        masked[0, i + 1] = 32
        log_probs = torch.log_softmax(plm.forward(masked).logits[0, i + 1], -1)
        for column, token in enumerate(range(4, 24)):
            scores[i, column] = log_probs[token] - log_probs[tokens[0, i + 1]]
    return scores


def right_masked_marginals__one_batch(plm, sequence):
    tokens = plm.tokenize([sequence])
    length = len(sequence)
    masked = tokens.repeat(length, 1)
    rows, places = torch.arange(length), torch.arange(1, length + 1)
    masked[rows, places] = 32
    log_probs = plm.forward(masked).logits[rows, places].log_softmax(-1)
    return log_probs[:, 4:24] - log_probs[rows, tokens[0, 1:-1]].unsqueeze(1)


def right_masked_marginals__logits(plm, sequence):
    """Without a softmax, whose denominator cancels; in pairs of two."""
    tokens, rows = plm.tokenize([sequence])[0], []
    for places in torch.arange(1, len(sequence) + 1).split(2):
        masked = tokens.repeat(len(places), 1)
        masked[range(len(places)), places] = plm.tokenizer.mask_token_id
        for row, place in zip(plm.forward(masked).logits, places):
            rows.append(row[place, 4:24] - row[place, tokens[place]])
    return torch.stack(rows)


def right_masked_marginals__raw_transformers(plm, sequence):
    sequence, scores = sequence.upper(), []
    letters = plm.tokenizer.convert_ids_to_tokens(list(range(4, 24)))
    for i, wild in enumerate(sequence):
        batch = plm.tokenizer(sequence[:i] + "<mask>" + sequence[i + 1:], return_tensors="pt").to(plm.device)
        with torch.no_grad():
            log_probs = plm.model(**batch).logits[0, i + 1, 4:24].log_softmax(0)
        scores.append(log_probs - log_probs[letters.index(wild)])
    return torch.stack(scores)


def right_masked_marginals__numpy(plm, sequence):
    from scipy.special import log_softmax

    tokens = plm.tokenize([sequence])
    scores = np.empty((len(sequence), 20))
    for i in range(len(sequence)):
        kept = tokens[0, i + 1].item()
        tokens[0, i + 1] = 32
        row = log_softmax(plm.forward(tokens).logits[0, i + 1].double().cpu().numpy())
        scores[i] = row[4:24] - row[kept]
        tokens[0, i + 1] = kept
    return scores


def right_masked_marginals__with_the_package(plm, sequence):
    from plmcourse.scoring import masked_log_probs
    from plmcourse.sequences import TOKEN_ID

    table = masked_log_probs(plm, sequence).numpy()
    wild = table[np.arange(len(sequence)), [TOKEN_ID[letter] for letter in sequence.upper()]]
    return torch.from_numpy((table - wild[:, None])[:, 4:24])
