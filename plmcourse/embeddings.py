"""From sequences to vectors: one per residue, or one per protein."""
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from plmcourse.sequences import TOKEN_ID


def batches(lengths, tokens_per_batch):
    """Group sequences of similar length, so that little of a batch is padding.

    Parameters
    ----------
    lengths : list of int
        Tokens of each sequence.
    tokens_per_batch : int
        Upper limit for sequences × longest; a sequence beyond it gets a batch of its own.

    Returns
    -------
    list of lists of int
        Indices into ``lengths``, longest first: if memory is short, the first batch says so.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    found, rows = [], 0
    for i in order:
        if len(found) == 0 or len(found[-1]) == rows:
            found.append([])
            rows = max(1, tokens_per_batch // lengths[i])
        found[-1].append(i)
    return found


def embed(plm, sequences, layer=-1, tokens_per_batch=None):
    """One vector per residue.

    Parameters
    ----------
    plm : PLM
    sequences : list of str
    layer : int
        Counts hidden states: 0 is the input embedding, k the output of block k, -1 the last, after the final LayerNorm.
    tokens_per_batch : int, optional
        Upper limit for a padded batch (see :func:`batches`); by default what suits the device.

    Returns
    -------
    list of Tensor, shape [L, dim], float32 on the CPU
        In the order of the sequences; ``<cls>`` and ``<eos>`` are cut off.

    Raises
    ------
    ValueError
        For a bad sequence (see :meth:`PLM.tokenize`) or a layer that the model does not have.
    """
    return [states[0] for states in hidden_states(plm, sequences, [layer], tokens_per_batch)]


def hidden_states(plm, sequences, layers, tokens_per_batch=None):
    """Several layers at once, for one forward pass: list of Tensor, shape [layers, L, dim]. Otherwise as :func:`embed`."""
    depth = plm.config.num_hidden_layers
    for layer in layers:
        if not -depth - 1 <= layer <= depth:
            raise ValueError(f"layer {layer} does not exist: this model has hidden states 0 to {depth} (or -1 for the last)")
    tokens = [plm.tokenize([sequence], [f"sequence {number}"])[0] for number, sequence in enumerate(sequences, start=1)]
    groups = batches([len(row) for row in tokens], tokens_per_batch or plm.tokens_per_batch)
    found = [None] * len(tokens)
    with tqdm(total=sum(map(len, tokens)), unit="token", unit_scale=True, desc="embedding", delay=1, leave=False) as bar:
        for rows, states in zip(groups, plm.each(lambda rows: _states(plm, [tokens[i] for i in rows], layers), groups)):
            for i, state in zip(rows, states):
                found[i] = state
                bar.update(len(tokens[i]))
    return found


@torch.no_grad()
def _states(plm, sequences, layers):
    """Hidden states of the sequences of a batch, each [layers, L, dim]; the language-model head is not run."""
    tokens = torch.nn.utils.rnn.pad_sequence(sequences, True, TOKEN_ID["<pad>"])
    only_last = set(layers) <= {-1, plm.config.num_hidden_layers}
    output = plm.model.esm(tokens, attention_mask=tokens != TOKEN_ID["<pad>"], output_hidden_states=not only_last)
    states = torch.stack([output.last_hidden_state if only_last else output.hidden_states[layer] for layer in layers]).float().cpu()
    # copies: a view would keep the padded batch alive
    return [states[:, place, 1:len(sequence) - 1].clone() for place, sequence in enumerate(sequences)]


def mean_pool(hidden, tokens):
    """Average the residue vectors of each protein; ``<cls>``, ``<eos>`` and padding do not count.

    Parameters
    ----------
    hidden : Tensor, shape [proteins, tokens, dim]
    tokens : LongTensor, shape [proteins, tokens]
        Ids 4 to 28 are residues.

    Returns
    -------
    Tensor, shape [proteins, dim], float32
    """
    is_residue = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    return torch.where(is_residue, hidden.float(), 0).sum(1) / is_residue.sum(1)


def nearest_label(query, database, labels):
    """Annotation transfer: each query gets the label of its most similar database entry.

    Parameters
    ----------
    query, database : Tensor, shapes [Q, dim] and [N, dim]
    labels : sequence of length N

    Returns
    -------
    list of length Q
        Label of the entry with the highest cosine similarity, the first of equals. A ValueError says when the numbers of
        entries and labels differ or there is no entry.
    """
    query, database = torch.as_tensor(query).float(), torch.as_tensor(database).float()
    if len(database) == 0 or len(labels) != len(database):
        raise ValueError(f"the database has {len(database)} entries and {len(labels)} labels: it needs entries, and a label for each")
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return [labels[i] for i in similarity.argmax(1).tolist()]
