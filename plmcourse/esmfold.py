"""ESMFold: the real class at a size for looking inside, and ``fold()`` with the real weights where a machine can hold them."""
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import EsmForProteinFolding

from plmcourse import models
from plmcourse.placement import free_memory
from plmcourse.sequences import RESIDUES, clean

LONGEST = 1022  # residues; the backbone was trained on 1,024 tokens, two of which are <cls> and <eos>
CHUNK = 64  # rows of the pair state whose triangle attention is computed at once; 16 saves hardly more and takes twice as long
_LOADED = {}  # device -> model: reading and verifying 8 GB once per session is enough


@dataclass(frozen=True, eq=False)
class Fold:
    """A predicted structure, and what the model thinks of it (Jumper et al. 2021, Nature 596:583, defines all three scores).

    Attributes
    ----------
    sequence : str, L residues
    pdb : str
        All heavy atoms as the text of a PDB file, coordinates in Å; the B-factor of each atom is its pLDDT from 0 to 100.
    plddt : float array, shape [L]
        pLDDT of each C-alpha atom, 0 to 100: the lDDT-Cα that the model expects of its own prediction.
    ptm : float
        The TM-score that the model expects, 0 to 1.
    pae : float array, shape [L, L], in Å
        Predicted aligned error: ``pae[i, j]`` is the expected error of residue j once model and native are laid over each
        other at residue i. Not symmetric.
    """

    sequence: str
    pdb: str = field(repr=False)
    plddt: np.ndarray = field(repr=False)
    ptm: float
    pae: np.ndarray = field(repr=False)


def true_configuration():
    """The configuration of ``facebook/esmfold_v1``, for counting its parameters without having them.

    Returns
    -------
    transformers.EsmConfig
        ``with torch.device("meta"): EsmForProteinFolding(true_configuration())`` takes half a second and no memory.
    """
    size = models.ESMFOLD
    structure = {"sequence_dim": 384, "pairwise_dim": 128, "ipa_dim": 16, "resnet_dim": 128, "num_heads_ipa": 12, "num_qk_points": 4,
                 "num_v_points": 8, "num_blocks": 8, "num_transition_layers": 1, "num_resnet_blocks": 2, "num_angles": 7}
    trunk = {"num_blocks": 48, "sequence_state_dim": 1024, "pairwise_state_dim": 128, "sequence_head_width": 32,
             "pairwise_head_width": 32, "position_bins": 32, "max_recycles": 4, "chunk_size": None, "structure_module": structure}
    return models.configuration(size.layers, size.dim, size.heads, is_folding_model=True,
                                esmfold_config={"fp16_esm": True, "lddt_head_hid_dim": 128, "trunk": trunk})


def untrained_esmfold(seed=0):
    """ESMFold's own class with random weights, small enough to run at once: its coordinates mean nothing, its shapes everything.

    Four layers of ESM-2 of width 64, two trunk blocks with a sequence state of 64 and a pair state of 32, a structure module of
    four rounds; otherwise as the real one, with four passes through the trunk (three recycles).

    Parameters
    ----------
    seed : int
        The same seed draws the same weights; the global random state is left as it was.

    Returns
    -------
    transformers.EsmForProteinFolding
        In eval mode, float32, on the CPU.
    """
    structure = {"sequence_dim": 48, "pairwise_dim": 32, "ipa_dim": 8, "resnet_dim": 32, "num_heads_ipa": 4, "num_blocks": 4}
    trunk = {"num_blocks": 2, "sequence_state_dim": 64, "pairwise_state_dim": 32, "sequence_head_width": 16, "pairwise_head_width": 8,
             "chunk_size": None, "structure_module": structure}
    # transformers draws all weights with a standard deviation of 0.02, whatever the width. That suits 1,024 channels; with 32 the
    # triangle attention would change the pair state by less than 1 %, and every residue would get a pLDDT of 50.0.
    config = models.configuration(4, 64, 4, is_folding_model=True, initializer_range=0.1,
                                  esmfold_config={"fp16_esm": False, "lddt_head_hid_dim": 32, "trunk": trunk})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return EsmForProteinFolding(config).eval()


def memory_needed(residues, loaded=False):
    """Bytes of memory that folding a protein takes: the weights, and what the model computes on the way.

    The second part was measured on a CPU with all layers and the trunk at their true widths, in chunks of ``CHUNK``: the peak of
    the process rose by 68, 155, 690, 1,210 and 2,180 MB for 64, 128, 256, 384 and 512 residues, and further blocks of the trunk
    added nothing. It is the pair state and its updates, 8 kB per pair of residues; the estimate is 10 kB and 200 MB.

    Parameters
    ----------
    residues : int
    loaded : bool
        The weights are in memory already.
    """
    return (0 if loaded else models.ESMFOLD.bytes) + 200_000_000 + 10_000 * residues**2


def fold(sequence, device=None, fetch=True):
    """Predict the structure of a protein with ESMFold (Lin et al. 2023, Science 379:1123).

    The weights (8.44 GB: the ESM-2 3B backbone in float16, the folding trunk in float32) come from the local hub cache, else
    from the model hub, pinned and verified, and stay in memory until the session ends. The trunk runs four times: once, and then
    on its own output (three recycles). On a CPU a protein of 100 residues takes minutes.

    Parameters
    ----------
    sequence : str
        1 to 1,022 residues, the 20 standard amino acids only: ESMFold itself would read any other letter as X.
    device : str, optional
        Such as "cpu" or "cuda"; by default a GPU with enough free memory, else the CPU.
    fetch : bool
        Whether the weights may be downloaded when they are not in the hub cache.

    Returns
    -------
    Fold

    Raises
    ------
    ValueError
        If the sequence is empty, too long or holds another letter (checked before anything is loaded), or the weights are damaged.
    MemoryError
        If there is not enough free memory for this length (checked before anything is fetched); the sentence says how much is missing.
    FileNotFoundError
        If the weights are not in the hub cache and cannot be fetched.
    """
    sequence = clean(sequence, alphabet=RESIDUES)
    if len(sequence) > LONGEST:
        raise ValueError(f"the sequence has {len(sequence):,} residues; ESMFold's language model was trained on at most {LONGEST:,}: "
                         "cut it into domains")
    model = _load(_choose_device(len(sequence), [device] if device else ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]), fetch)
    return _summary(model, sequence, model.infer(sequence))


def _choose_device(residues, devices):
    """The first device with enough free memory."""
    for device in devices:
        need, free = memory_needed(residues, device in _LOADED), free_memory(device)
        if need <= free:
            return device
    raise MemoryError(f"folding {residues} residues takes {need / 1e9:.1f} GB of memory on {device}, of which {free / 1e9:.1f} GB are "
                      f"free: {(need - free) / 1e9:.1f} GB are missing")


def _load(device, fetch):
    if device not in _LOADED:
        folder = models.hub_snapshot(models.ESMFOLD, fetch)
        # float32 is the trunk's precision; the configuration keeps the backbone in float16. dtype=float16 would halve the trunk too.
        model = models.read_weights(EsmForProteinFolding, folder, torch.float32, "eager", device_map={"": device}).eval()
        model.trunk.set_chunk_size(CHUNK)
        _LOADED[device] = model
    return _LOADED[device]


def _summary(model, sequence, output):
    plddt = 100 * output["plddt"]  # transformers counts from 0 to 1, and would round that to two decimals in the PDB file
    return Fold(sequence, model.output_to_pdb({**output, "plddt": plddt})[0], plddt[0, :, 1].cpu().numpy(), float(output["ptm"]),
                output["predicted_aligned_error"][0].cpu().numpy())
