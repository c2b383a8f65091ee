"""Exercise 1.5, pseudo_perplexity."""
import math

import numpy as np
import torch


def _log_probs(plm, sequence, places=None):
    """log p(residue) for each residue of the places, that residue masked, done right."""
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1) if places is None else places:
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return found


def wrong_pseudo_perplexity__not_masked(plm, sequence):
    """The residue to be guessed stays visible.

    message: stay visible
    """
    tokens = plm.tokenize([sequence])
    log_probs = plm.forward(tokens).logits[0].log_softmax(-1)
    return math.exp(-np.mean([log_probs[i, tokens[0, i]].item() for i in range(1, len(sequence) + 1)]))


def wrong_pseudo_perplexity__loss_of_the_model(plm, sequence):
    """transformers' own loss with the tokens as labels: nothing masked, <cls> and <eos> counted.

    message: visible
    message: not exp of the mean negative masked log-probability
    """
    tokens = plm.tokenize([sequence])
    return math.exp(plm.forward(tokens, labels=tokens).loss.item())


def wrong_pseudo_perplexity__all_masked_at_once(plm, sequence):
    """Masks the whole protein and runs the model once.

    message: masked at once
    """
    tokens = plm.tokenize([sequence])
    masked = tokens.clone()
    masked[0, 1:-1] = 32
    log_probs = plm.forward(masked).logits[0].log_softmax(-1)
    return math.exp(-np.mean([log_probs[i, tokens[0, i]].item() for i in range(1, len(sequence) + 1)]))


def wrong_pseudo_perplexity__masks_pile_up(plm, sequence):
    """Earlier masks are never taken back.

    message: The masks pile up
    """
    tokens, total = plm.tokenize([sequence]), 0.0
    for i in range(1, len(sequence) + 1):
        true = tokens[0, i].item()
        tokens[0, i] = 32
        total += plm.forward(tokens).logits[0, i].log_softmax(-1)[true].item()
    return math.exp(-total / len(sequence))


def wrong_pseudo_perplexity__no_clone(plm, sequence):
    """`masked = tokens` is no copy: the masks pile up, and <mask> itself is looked up.

    message: pile up
    message: no copy
    message: .clone()
    message: log-probability of <mask>
    """
    tokens, total = plm.tokenize([sequence]), 0.0
    for i in range(1, len(sequence) + 1):
        masked = tokens
        masked[0, i] = 32
        total += plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item()
    return math.exp(-total / len(sequence))


def wrong_pseudo_perplexity__mask_token_itself(plm, sequence):
    """Looks up the log-probability of <mask>.

    message: log-probability of <mask>
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[masked[0, i]].item())
    return math.exp(-np.mean(found))


def wrong_pseudo_perplexity__every_seventh_at_once(plm, sequence):
    """Masks every seventh residue at a time, to be quick.

    message: one at a time
    message: at a time
    message: several
    message: at once
    """
    tokens, found = plm.tokenize([sequence]), []
    for start in range(7):
        places = torch.arange(1 + start, len(sequence) + 1, 7)
        if not len(places):
            continue
        masked = tokens.clone()
        masked[0, places] = 32
        found += plm.forward(masked).logits[0, places].log_softmax(-1)[range(len(places)), tokens[0, places]].tolist()
    return math.exp(-np.mean(found))


def wrong_pseudo_perplexity__fifteen_percent(plm, sequence):
    """Masks 15 % by chance, as in training, and measures those.

    message: not exp of the mean negative masked log-probability
    """
    tokens = plm.tokenize([sequence])
    chosen = torch.rand(len(sequence), generator=torch.Generator().manual_seed(1)) < 0.15
    chosen[:2] = True
    places = chosen.nonzero().flatten() + 1
    masked = tokens.clone()
    masked[0, places] = 32
    log_probs = plm.forward(masked).logits[0, places].log_softmax(-1)
    return math.exp(-log_probs[range(len(places)), tokens[0, places]].mean().item())


def wrong_pseudo_perplexity__left_to_right(plm, sequence):
    """As in a causal model: what comes after the residue is cut off.

    message: what comes before
    message: what comes after
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens[:, :i + 1].clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return math.exp(-np.mean(found))


def wrong_pseudo_perplexity__x_as_mask(plm, sequence):
    """Writes X (unknown residue) where <mask> belongs.

    message: not exp of the mean negative masked log-probability
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 24
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return math.exp(-np.mean(found))


def wrong_pseudo_perplexity__residue_deleted(plm, sequence):
    """Cuts the residue out instead of masking it.

    message: not exp of the mean negative masked log-probability
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        shorter = torch.cat([tokens[:, :i], tokens[:, i + 1:]], dim=1)
        found.append(plm.forward(shorter).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return math.exp(-np.mean(found))


def wrong_pseudo_perplexity__loss(plm, sequence):
    """Forgets the exponential.

    message: perplexity is exp of it
    """
    return -float(np.mean(_log_probs(plm, sequence)))


def wrong_pseudo_perplexity__sign(plm, sequence):
    """exp of the mean log-probability: below 1.

    message: The sign is turned
    """
    return math.exp(np.mean(_log_probs(plm, sequence)))


def wrong_pseudo_perplexity__sum(plm, sequence):
    """exp of the sum: infinite for a long protein.

    message: This is exp of the sum
    """
    return float(np.exp(min(700.0, -sum(_log_probs(plm, sequence)))))


def wrong_pseudo_perplexity__log_likelihood(plm, sequence):
    """The pseudo-log-likelihood of exercise 4.4.

    message: log-likelihood
    message: This is the sum
    """
    return sum(_log_probs(plm, sequence))


def wrong_pseudo_perplexity__divides_by_all_tokens(plm, sequence):
    """Divides by L + 2.

    message: <cls> and <eos> included
    """
    return math.exp(-sum(_log_probs(plm, sequence)) / (len(sequence) + 2))


def wrong_pseudo_perplexity__special_tokens(plm, sequence):
    """<cls> and <eos> are masked and counted too.

    message: <cls> and <eos> are counted too
    """
    return math.exp(-np.mean(_log_probs(plm, sequence, range(len(sequence) + 2))))


def wrong_pseudo_perplexity__eos_too(plm, sequence):
    """<eos> is counted too.

    message: <eos> is counted
    """
    return math.exp(-np.mean(_log_probs(plm, sequence, range(1, len(sequence) + 2))))


def wrong_pseudo_perplexity__first_residue_lost(plm, sequence):
    """Begins at 2.

    message: first residue
    """
    return math.exp(-np.mean(_log_probs(plm, sequence, range(2, len(sequence) + 1))))


def wrong_pseudo_perplexity__last_residue_lost(plm, sequence):
    """Ends one too early.

    message: last residue
    """
    return math.exp(-np.mean(_log_probs(plm, sequence, range(1, len(sequence)))))


def wrong_pseudo_perplexity__forgets_bos(plm, sequence):
    """Residues 0 to L - 1 of the tokens: <cls> counts, the last residue does not.

    message: <cls> is counted
    message: <cls> comes first
    message: <cls> is
    """
    return math.exp(-np.mean(_log_probs(plm, sequence, range(len(sequence)))))


def wrong_pseudo_perplexity__masks_one_early(plm, sequence):
    """Masks and reads token i for residue i: one too early.

    message: so it is token i + 1
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(len(sequence)):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i + 1]].item())
    return math.exp(-np.mean(found))


def wrong_pseudo_perplexity__reads_one_early(plm, sequence):
    """Masks the right token, reads the row before.

    message: read the one before
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i - 1].log_softmax(-1)[tokens[0, i]].item())
    return math.exp(-np.mean(found))


def wrong_pseudo_perplexity__softmax_over_twenty(plm, sequence):
    """Softmax over the 20 amino acids instead of all 33 tokens.

    message: runs over 20 residues
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i, 4:24].log_softmax(-1)[tokens[0, i] - 4].item())
    return math.exp(-np.mean(found))


def wrong_pseudo_perplexity__softmax_over_positions(plm, sequence):
    """log_softmax(0) runs over the positions.

    message: softmax runs over the positions
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0].log_softmax(0)[i, tokens[0, i]].item())
    return math.exp(-np.mean(found))


def wrong_pseudo_perplexity__no_softmax(plm, sequence):
    """Averages raw logits.

    message: raw logits
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i, tokens[0, i]].item())
    return math.exp(-np.mean(found))


def wrong_pseudo_perplexity__mean_of_inverses(plm, sequence):
    """Mean of 1 / p, not exp of the mean.

    message: mean of exp
    """
    return float(np.mean([math.exp(-value) for value in _log_probs(plm, sequence)]))


def wrong_pseudo_perplexity__inverse_mean_probability(plm, sequence):
    """1 / mean p.

    message: one over the mean probability
    """
    return 1 / float(np.mean([math.exp(value) for value in _log_probs(plm, sequence)]))


def wrong_pseudo_perplexity__median(plm, sequence):
    """exp of the median surprise.

    message: not exp of the mean negative masked log-probability
    """
    return math.exp(-np.median(_log_probs(plm, sequence)))


def wrong_pseudo_perplexity__bits_with_e(plm, sequence):
    """log2 with exp: two bases.

    message: must have the same base
    """
    return math.exp(-np.mean(_log_probs(plm, sequence)) / math.log(2))


def wrong_pseudo_perplexity__nats_with_two(plm, sequence):
    """log with 2**: two bases.

    message: must have the same base
    """
    return 2 ** float(-np.mean(_log_probs(plm, sequence)))


def wrong_pseudo_perplexity__product_underflows(plm, sequence):
    """Multiplies the probabilities: 0 for a long protein, and a division by zero.

    message: too small
    message: stopped with ZeroDivisionError
    message: product
    """
    product = 1.0
    for value in _log_probs(plm, sequence):
        product *= math.exp(value)
    return (1 / product) ** (1 / len(sequence))


def wrong_pseudo_perplexity__entropy(plm, sequence):
    """exp of the mean entropy of the predictions: the residue is never looked up.

    message: entropy
    message: not exp of the mean negative masked log-probability
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        log_probs = plm.forward(masked).logits[0, i].log_softmax(-1)
        found.append(-(log_probs.exp() * log_probs).sum().item())
    return math.exp(np.mean(found))


def wrong_pseudo_perplexity__most_probable(plm, sequence):
    """Surprise of the most probable token, not of the residue.

    message: most probable tokens
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1).max().item())
    return math.exp(-np.mean(found))


def wrong_pseudo_perplexity__different_residues_once(plm, sequence):
    """Each kind of residue counts once, by way of a dictionary.

    message: kind of residue
    message: second time
    """
    found = dict(zip(sequence.upper(), _log_probs(plm, sequence)))
    return math.exp(-sum(found.values()) / len(found))


def wrong_pseudo_perplexity__first_copy(plm, sequence):
    """sequence.index(letter) finds the first such residue again and again.

    message: second time
    message: first such
    message: occurs
    """
    return math.exp(-np.mean(_log_probs(plm, sequence, [sequence.index(letter) + 1 for letter in sequence])))


def wrong_pseudo_perplexity__first_64(plm, sequence):
    """Takes the first 64 residues only, to be quick.

    message: wrong for 70
    """
    return math.exp(-np.mean(_log_probs(plm, sequence, range(1, min(64, len(sequence)) + 1))))


def wrong_pseudo_perplexity__cut_first(plm, sequence):
    """Cuts the sequence at 50 residues, before the model sees it.

    message: wrong for 70
    """
    return math.exp(-np.mean(_log_probs(plm, sequence[:50])))


def wrong_pseudo_perplexity__last_batch_lost(plm, sequence):
    """Batches of 16; those that do not fill one are lost.

    message: wrong for 70
    """
    tokens, found = plm.tokenize([sequence]), []
    size = min(16, len(sequence))
    for start in range(0, len(sequence) - size + 1, size):
        places = torch.arange(start, start + size) + 1
        masked = tokens.repeat(size, 1)
        masked[range(size), places] = 32
        log_probs = plm.forward(masked).logits[range(size), places].log_softmax(-1)
        found += log_probs[range(size), tokens[0, places]].tolist()
    return math.exp(-np.mean(found))


def wrong_pseudo_perplexity__one_per_position(plm, sequence):
    """One number per residue.

    message: asked for is a Python float
    """
    return [math.exp(-value) for value in _log_probs(plm, sequence)]


def wrong_pseudo_perplexity__tensor(plm, sequence):
    """Returns a tensor.

    message: asked for is a Python float
    """
    return torch.tensor(_log_probs(plm, sequence)).mean().neg().exp()


def wrong_pseudo_perplexity__return_in_the_loop(plm, sequence):
    """Returns after the first residue.

    message: inside the loop
    """
    total = 0.0
    for i in range(1, len(sequence) + 1):
        total += _log_probs(plm, sequence, [i])[0]
        return math.exp(-total)


def wrong_pseudo_perplexity__training_mode(plm, sequence):
    """Switches the model to training and leaves it so.

    message: training mode
    """
    plm.model.train()
    return math.exp(-np.mean(_log_probs(plm, sequence)))


def wrong_pseudo_perplexity__33_in_the_code(plm, sequence):
    """A model that guesses all tokens equally, whatever the model says.

    message: not exp of the mean negative masked log-probability
    """
    return 33.0


def wrong_pseudo_perplexity__nothing(plm, sequence):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    math.exp(-np.mean(_log_probs(plm, sequence)))


def right_pseudo_perplexity__loop(plm, sequence):
    tokens, total = plm.tokenize([sequence]), 0.0
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        total -= plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item()
    return math.exp(total / len(sequence))


def right_pseudo_perplexity__one_batch(plm, sequence):
    """All masked copies at once, and cross_entropy."""
    tokens = plm.tokenize([sequence])[0]
    masked = tokens.repeat(len(sequence), 1)
    masked[:, 1:-1].fill_diagonal_(32)
    logits = plm.forward(masked).logits[:, 1:-1].diagonal().T
    return torch.nn.functional.cross_entropy(logits.float(), tokens[1:-1]).exp().item()


def right_pseudo_perplexity__with_exercise_two(plm, sequence):
    """Labels on the diagonal, and the perplexity of exercise 1.2."""
    from plmcourse.pretraining import perplexity

    tokens = plm.tokenize([sequence]).repeat(len(sequence), 1)
    rows = torch.arange(len(sequence))
    masked, labels = tokens.clone(), torch.full_like(tokens, -100)
    masked[rows, rows + 1] = 32
    labels[rows, rows + 1] = tokens[rows, rows + 1]
    return perplexity(plm.forward(masked).logits, labels)


def right_pseudo_perplexity__raw_transformers(plm, sequence):
    sequence, total = sequence.upper(), 0.0
    for i, letter in enumerate(sequence):
        batch = plm.tokenizer(sequence[:i] + "<mask>" + sequence[i + 1:], return_tensors="pt").to(plm.device)
        with torch.no_grad():
            probs = plm.model(**batch).logits[0, i + 1].double().softmax(0)
        total += math.log(probs[plm.tokenizer.convert_tokens_to_ids(letter)])
    return math.exp(-total / len(sequence))


def right_pseudo_perplexity__numpy(plm, sequence):
    """log-sum-exp by hand in float64, the mask taken back; np.float64 is a float."""
    tokens, terms = plm.tokenize([sequence]), []
    for i in range(len(sequence)):
        kept = int(tokens[0, i + 1])
        tokens[0, i + 1] = 32
        row = plm.forward(tokens).logits[0, i + 1].cpu().numpy().astype(np.float64)
        tokens[0, i + 1] = kept
        largest = row.max()
        terms.append(largest + np.log(np.exp(row - largest).sum()) - row[kept])
    return np.exp(np.mean(terms))


def right_pseudo_perplexity__chunks(plm, sequence):
    """Batches of 24 masked copies, the last one smaller."""
    tokens, total = plm.tokenize([sequence]), 0.0
    for places in torch.arange(1, len(sequence) + 1).split(24):
        rows = torch.arange(len(places))
        masked = tokens.repeat(len(places), 1)
        masked[rows, places] = 32
        log_probs = plm.forward(masked).logits[rows, places].double().log_softmax(-1)
        total -= log_probs[rows, tokens[0, places]].sum().item()
    return math.exp(total / len(sequence))


def right_pseudo_perplexity__from_the_package(plm, sequence):
    from plmcourse.scoring import pseudo_log_likelihood

    return math.exp(-pseudo_log_likelihood(plm, sequence) / len(sequence))
