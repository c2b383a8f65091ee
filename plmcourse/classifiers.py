"""ESM-2 with a classifier on top: for whole proteins or for each residue, with as much of the backbone trainable as wanted."""
import torch
from torch import nn

from plmcourse.embeddings import mean_pool
from plmcourse.sequences import IGNORE, PAD


class SequenceClassifier(nn.Module):
    """One label per protein, from the mean of its residue vectors.

    Parameters
    ----------
    backbone : transformers.EsmModel
        Such as ``plm.model.esm``; it is trained in place, so give each experiment its own copy.
    classes : int
    dropout : float
        Applied to the mean before the linear head, in training only.
    """

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(backbone.config.hidden_size, classes))

    def forward(self, tokens):
        """Logits [proteins, classes] of token ids [proteins, tokens]."""
        hidden = self.backbone(tokens, attention_mask=tokens != PAD).last_hidden_state
        return self.head(mean_pool(hidden, tokens).to(hidden.dtype))


class ResidueClassifier(nn.Module):
    """One label per residue, from its own vector.

    Parameters
    ----------
    backbone, classes, dropout
        As in :class:`SequenceClassifier`.
    """

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(backbone.config.hidden_size, classes))

    def forward(self, tokens):
        """Logits [proteins, tokens, classes]; the rows of ``<cls>``, ``<eos>`` and padding are there and mean nothing."""
        return self.head(self.backbone(tokens, attention_mask=tokens != PAD).last_hidden_state)


def align_labels(labels, tokens):
    """Put residue labels where the residues are: behind ``<cls>``, and -100 wherever a token is no residue.

    Parameters
    ----------
    labels : list of int arrays, shape [L] each
    tokens : LongTensor, shape [proteins, tokens]
        Ids 4 to 28 are residues.

    Returns
    -------
    LongTensor, shape [proteins, tokens], on the device of ``tokens``

    Raises
    ------
    ValueError
        If a protein has another number of labels than of residues, or there are not as many lists as proteins.
    """
    if len(labels) != len(tokens):
        raise ValueError(f"there are labels for {len(labels)} proteins and tokens of {len(tokens)}")
    is_residue = (tokens >= 4) & (tokens <= 28)
    aligned = torch.full_like(tokens, IGNORE)
    for number, (row, own) in enumerate(zip(is_residue, labels)):
        if len(own) != row.sum():
            raise ValueError(f"protein {number} has {int(row.sum())} residues and {len(own)} labels")
        aligned[number, row] = torch.as_tensor(own, dtype=tokens.dtype, device=tokens.device)
    return aligned


def thaw(model, last_n):
    """Make the head, the last ``last_n`` encoder layers and, with them, the final LayerNorm trainable, and nothing else.

    Parameters
    ----------
    model : SequenceClassifier or ResidueClassifier
        Changed in place, whatever was trainable before.
    last_n : int
        0 is a frozen backbone.

    Returns
    -------
    the same model

    Raises
    ------
    ValueError
        If ``last_n`` is negative or larger than the number of layers.
    """
    encoder = model.backbone.encoder
    depth = len(encoder.layer)
    if not 0 <= last_n <= depth:
        raise ValueError(f"last_n is {last_n}: this backbone has {depth} layers")
    model.requires_grad_(False)
    chosen = [*encoder.layer[depth - last_n:], encoder.emb_layer_norm_after] if last_n else []
    for part in [model.head, *chosen]:
        part.requires_grad_(True)
    return model
