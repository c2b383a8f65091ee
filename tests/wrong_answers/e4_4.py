"""Exercise 4.4, pseudo_log_likelihood."""
import math

import torch


def wrong_pseudo_log_likelihood__not_masked(plm, sequence):
    """The residue to be guessed stays visible.

    message: The residues stay visible in your input
    """
    tokens = plm.tokenize([sequence])
    log_probs = plm.forward(tokens).logits[0].log_softmax(-1)
    return sum(log_probs[i, tokens[0, i]].item() for i in range(1, len(sequence) + 1))


def wrong_pseudo_log_likelihood__mean(plm, sequence):
    """Mean over the positions instead of the sum.

    message: This is the mean over the residues
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return sum(found) / len(found)


def wrong_pseudo_log_likelihood__sign(plm, sequence):
    """Positive: the negative log-likelihood, a loss.

    message: The sign is turned
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return -sum(found)


def wrong_pseudo_log_likelihood__base_two(plm, sequence):
    """Bits instead of nats.

    message: base 2
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(math.log2(plm.forward(masked).logits[0, i].softmax(-1)[tokens[0, i]].item()))
    return sum(found)


def wrong_pseudo_log_likelihood__base_ten(plm, sequence):
    """Decimal logarithm.

    message: base 10
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(math.log10(plm.forward(masked).logits[0, i].softmax(-1)[tokens[0, i]].item()))
    return sum(found)


def wrong_pseudo_log_likelihood__forgets_bos(plm, sequence):
    """Masks and reads token i for residue i: one too early.

    message: Residue i is compared with token i
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(len(sequence)):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i + 1]].item())
    return sum(found)


def wrong_pseudo_log_likelihood__reads_one_early(plm, sequence):
    """Masks the right token, reads the row before, as in fair-esm's example script.

    message: You mask the right token but read the one before
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(len(sequence)):
        masked = tokens.clone()
        masked[0, i + 1] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i + 1]].item())
    return sum(found)


def wrong_pseudo_log_likelihood__masks_pile_up(plm, sequence):
    """Earlier masks are never taken back.

    message: The masks pile up
    """
    tokens, total = plm.tokenize([sequence]), 0.0
    for i in range(1, len(sequence) + 1):
        true = tokens[0, i].item()
        tokens[0, i] = 32
        total += plm.forward(tokens).logits[0, i].log_softmax(-1)[true].item()
    return total


def wrong_pseudo_log_likelihood__all_masked_at_once(plm, sequence):
    """Masks the whole protein and runs the model once.

    message: All positions are masked at once
    """
    tokens = plm.tokenize([sequence])
    masked = tokens.clone()
    masked[0, 1:-1] = 32
    log_probs = plm.forward(masked).logits[0].log_softmax(-1)
    return sum(log_probs[i, tokens[0, i]].item() for i in range(1, len(sequence) + 1))


def wrong_pseudo_log_likelihood__softmax_over_twenty(plm, sequence):
    """Softmax over the 20 amino acids instead of all 33 tokens.

    message: The softmax runs over 20 residues
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i, 4:24].log_softmax(-1)[tokens[0, i] - 4].item())
    return sum(found)


def wrong_pseudo_log_likelihood__special_tokens(plm, sequence):
    """<cls> and <eos> are masked and counted too.

    message: <cls> and <eos> are counted too
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(tokens.shape[1]):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return sum(found)


def wrong_pseudo_log_likelihood__eos_too(plm, sequence):
    """<eos> is counted too.

    message: <eos> is counted too
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 2):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return sum(found)


def wrong_pseudo_log_likelihood__last_residue_lost(plm, sequence):
    """range(1, L) stops one short.

    message: The last residue is missing
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence)):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return sum(found)


def wrong_pseudo_log_likelihood__first_residue_lost(plm, sequence):
    """Begins at the second residue.

    message: The first residue is missing
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(2, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return sum(found)


def wrong_pseudo_log_likelihood__log_of_sum(plm, sequence):
    """Logarithm of the summed probabilities.

    message: This is the logarithm of a sum
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].softmax(-1)[tokens[0, i]].item())
    return math.log(sum(found))


def wrong_pseudo_log_likelihood__probabilities(plm, sequence):
    """Sums probabilities, no logarithm.

    message: This is the sum of the probabilities
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].softmax(-1)[tokens[0, i]].item())
    return sum(found)


def wrong_pseudo_log_likelihood__product_underflows(plm, sequence):
    """Takes the logarithm of a float32 product: right for short proteins, minus infinity for long ones.

    message: too small for the computer
    """
    tokens, product = plm.tokenize([sequence]), torch.ones(())
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        product = product * plm.forward(masked).logits[0, i].softmax(-1)[tokens[0, i]].cpu()
    return product.log().item()


def wrong_pseudo_log_likelihood__no_softmax(plm, sequence):
    """Sums raw logits.

    message: These are raw logits
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i, tokens[0, i]].item())
    return sum(found)


def wrong_pseudo_log_likelihood__softmax_over_positions(plm, sequence):
    """log_softmax(0) over the positions.

    message: Your softmax runs over the positions
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0].log_softmax(0)[i, tokens[0, i]].item())
    return sum(found)


def wrong_pseudo_log_likelihood__best_residue(plm, sequence):
    """Takes the most probable token, not the true one.

    message: the most probable tokens
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1).max().item())
    return sum(found)


def wrong_pseudo_log_likelihood__mask_token_itself(plm, sequence):
    """Reads the id from the masked copy: the log-probability of <mask>.

    message: This is the log-probability of <mask>
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[masked[0, i]].item())
    return sum(found)


def wrong_pseudo_log_likelihood__pseudo_perplexity(plm, sequence):
    """exp of the mean negative: the pseudo-perplexity.

    message: This is the perplexity
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return math.exp(-sum(found) / len(found))


def wrong_pseudo_log_likelihood__chunk_index(plm, sequence):
    """In batches of 16 the mask is put relative to the batch: right for short proteins.

    message: wrong for 70
    """
    tokens, total = plm.tokenize([sequence]), 0.0
    for start in range(0, len(sequence), 16):
        count = min(16, len(sequence) - start)
        masked = tokens.repeat(count, 1)
        rows = torch.arange(count)
        masked[rows, rows + 1] = 32
        log_probs = plm.forward(masked).logits[rows, start + rows + 1].log_softmax(-1)
        total += log_probs.gather(1, tokens[0, start + 1:start + count + 1, None]).sum().item()
    return total


def wrong_pseudo_log_likelihood__last_batch_lost(plm, sequence):
    """Batches of 8; a last batch that is not full is left out.

    message: The number is not the sum of masked log-probabilities
    """
    tokens, total = plm.tokenize([sequence]), 0.0
    for start in range(0, len(sequence) // 8 * 8, 8):
        masked, rows = tokens.repeat(8, 1), torch.arange(8)
        masked[rows, start + rows + 1] = 32
        log_probs = plm.forward(masked).logits[rows, start + rows + 1].log_softmax(-1)
        total += log_probs.gather(1, tokens[0, start + 1:start + 9, None]).sum().item()
    return total


def wrong_pseudo_log_likelihood__first_copy(plm, sequence):
    """sequence.index(letter) finds the first such residue: right when none comes twice.

    message: A residue that comes a second time
    """
    tokens, found = plm.tokenize([sequence]), []
    for letter in sequence:
        i = sequence.index(letter) + 1
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return sum(found)


def wrong_pseudo_log_likelihood__different_residues_once(plm, sequence):
    """Collected in a dictionary by letter: each kind of residue counts once.

    message: Each kind of residue is counted once
    """
    tokens, found = plm.tokenize([sequence]), {}
    for i, letter in enumerate(sequence, start=1):
        masked = tokens.clone()
        masked[0, i] = 32
        found[letter] = plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item()
    return sum(found.values())


def wrong_pseudo_log_likelihood__left_to_right(plm, sequence):
    """Cuts the protein off behind the residue, as a left-to-right model would.

    message: sees only what comes before
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        prefix = tokens[:, :i + 1].clone()
        prefix[0, i] = 32
        found.append(plm.forward(prefix).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return sum(found)


def wrong_pseudo_log_likelihood__marginals_summed(plm, sequence):
    """Sums the masked marginals of 4.2, which are zero at the wild type.

    message: The number is not the sum of masked log-probabilities
    """
    from plmcourse.scoring import masked_marginals

    return float(masked_marginals(plm, sequence).sum())


def wrong_pseudo_log_likelihood__one_per_position(plm, sequence):
    """Returns a list with one value per position.

    message: The result is a list
    """
    tokens, found = plm.tokenize([sequence]), []
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        found.append(plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item())
    return found


def wrong_pseudo_log_likelihood__return_in_the_loop(plm, sequence):
    """Returns after the first residue.

    message: does the return stand inside the loop?
    """
    tokens, total = plm.tokenize([sequence]), 0.0
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        total += plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item()
        return total


def wrong_pseudo_log_likelihood__nothing(plm, sequence):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    tokens, total = plm.tokenize([sequence]), 0.0
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        total += plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item()


def right_pseudo_log_likelihood__loop(plm, sequence):
    tokens, total = plm.tokenize([sequence]), 0.0
    for i in range(1, len(sequence) + 1):
        masked = tokens.clone()
        masked[0, i] = 32
        total += plm.forward(masked).logits[0, i].log_softmax(-1)[tokens[0, i]].item()
    return total


def right_pseudo_log_likelihood__one_batch(plm, sequence):
    tokens = plm.tokenize([sequence])[0]
    masked = tokens.repeat(len(sequence), 1)
    masked[:, 1:-1].fill_diagonal_(32)
    logits = plm.forward(masked).logits[:, 1:-1].diagonal().T
    return -torch.nn.functional.cross_entropy(logits, tokens[1:-1], reduction="sum").item()


def right_pseudo_log_likelihood__raw_transformers(plm, sequence):
    sequence, total = sequence.upper(), 0.0
    for i, letter in enumerate(sequence):
        batch = plm.tokenizer(sequence[:i] + "<mask>" + sequence[i + 1:], return_tensors="pt").to(plm.device)
        with torch.no_grad():
            probs = plm.model(**batch).logits[0, i + 1].double().softmax(0)
        total += math.log(probs[plm.tokenizer.convert_tokens_to_ids(letter)])
    return total


def right_pseudo_log_likelihood__labels(plm, sequence):
    """transformers' own loss, with labels at the masked positions only."""
    tokens = plm.tokenize([sequence]).repeat(len(sequence), 1)
    rows = torch.arange(len(sequence))
    masked, labels = tokens.clone(), torch.full_like(tokens, -100)
    masked[rows, rows + 1] = 32
    labels[rows, rows + 1] = tokens[rows, rows + 1]
    return -plm.forward(masked, labels=labels).loss.item() * len(sequence)


def right_pseudo_log_likelihood__numpy(plm, sequence):
    import numpy as np
    from scipy.special import logsumexp

    tokens, terms = plm.tokenize([sequence]), []
    for i in range(len(sequence)):
        kept = int(tokens[0, i + 1])
        tokens[0, i + 1] = 32
        row = plm.forward(tokens).logits[0, i + 1].cpu().numpy().astype(float)
        tokens[0, i + 1] = kept
        terms.append(row[kept] - logsumexp(row))
    return np.sum(terms)
