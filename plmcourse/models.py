"""The ESM-2 family, and ``load()``: which weights, on which device, in which precision."""
import importlib.metadata
import math
import os
import re
import shutil
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from transformers import EsmConfig, EsmForMaskedLM, EsmTokenizer
from transformers.models.esm.modeling_esm import EsmIntermediate
from transformers.utils import logging

from plmcourse import datasets, placement
from plmcourse.sequences import MASK, PAD, TOKENS, clean

logging.disable_progress_bar()  # "Loading weights" flickers by in a second and would be part of every notebook's output


@dataclass(frozen=True)
class Size:
    """One member of the ESM-2 family, or ESMFold (Lin et al. 2023, Science 379:1123; parameter counts include the contact head)."""

    name: str
    repository: str
    revision: str  # commit on the model hub: the same course tomorrow
    layers: int
    dim: int
    heads: int
    parameters: int
    sha256: tuple = ()  # of model.safetensors, where known; two uploads of the 8M weights are around
    file_bytes: int = 0  # of the weights, where they are not float32 throughout

    @property
    def title(self):
        """The name in a sentence: "ESM-2 8M", "ESMFold"."""
        return self.name if self.name.startswith("ESM") else f"ESM-2 {self.name}"

    @property
    def bytes(self):
        """What the weights take on disk."""
        return self.file_bytes or 4 * self.parameters


FAMILY = {size.name: size for size in (
    Size("8M", "facebook/esm2_t6_8M_UR50D", "c731040fcd8d73dceaa04b0a8e6329b345b0f5df", 6, 320, 20, 7_512_474,
         ("24c5fa474c48f3b754b86efe752d5f189d2bcd88190fa2270fc92b2ef3034189",
          "c78322372c5f2a2db07ff6df20637701d82eb255aa32e2623c2db18553db28d9")),
    Size("35M", "facebook/esm2_t12_35M_UR50D", "6fbf070e65b0b7291e7bbcd451118c216cff79d8", 12, 480, 20, 33_501_394),
    Size("150M", "facebook/esm2_t30_150M_UR50D", "a695f6045e2e32885fa60af20c13cb35398ce30c", 30, 640, 20, 148_140_154,
         ("c3f1da8aea53bddd32c246c86168c23b9fd72341fb9db9a94436f855f5053566",)),
    Size("650M", "facebook/esm2_t33_650M_UR50D", "08e4846e537177426273712802403f7ba8261b6c", 33, 1280, 20, 651_043_254,
         ("a08adabb949fa67ad3c14b509d04fd60368b35007b0095e3358f81200c4f4db0",)),
    Size("3B", "facebook/esm2_t36_3B_UR50D", "476b639933c8baad5ad09a60ac1a87f987b656fc", 36, 2560, 40, 2_839_005_634),
    Size("15B", "facebook/esm2_t48_15B_UR50D", "5fbca39631164edc1d402a5aa369f982f72ee282", 48, 5120, 40, 15_129_100_194),
)}
# Not a language model that load() could return, so not in FAMILY: the 3B backbone in float16 and the folding trunk in float32
ESMFOLD = Size("ESMFold", "facebook/esmfold_v1", "ba837a39b67e59941c3f017d6c2a064f567038d9", 36, 2560, 40, 3_525_038_915,
               ("9a865162cdcaac8d5385c908fd0c620fccf0405adb3a5b49566a8d88831977ac",), file_bytes=8_435_267_018)
EMBEDDED = "course-8M"  # the checkpoint in data/models: ESM-2's 8M architecture, trained by this project
_WANTED = ["config.json", "vocab.txt", "*.safetensors", "*.safetensors.index.json"]


@dataclass(frozen=True)
class PLM:
    """A loaded protein language model.

    Attributes
    ----------
    model : transformers.EsmForMaskedLM, in eval mode
    tokenizer : transformers.EsmTokenizer
    source : str, where the weights come from
    """

    model: EsmForMaskedLM
    tokenizer: EsmTokenizer
    source: str

    @property
    def config(self):
        return self.model.config

    @property
    def device(self):
        return self.model.device

    @property
    def dtype(self):
        return self.model.dtype

    @property
    def max_residues(self):
        """Longest protein the model has seen in training: 1,024 tokens, two of which are ``<cls>`` and ``<eos>``."""
        return self.config.max_position_embeddings - 4

    @property
    def tokens_per_batch(self):
        """Tokens that are run at once, padding included: more do not fit a CPU's cache, a GPU needs more to be busy."""
        return 1024 if self.device.type == "cpu" else 32_768

    def each(self, compute, batches):
        """``compute(batch)`` for each batch of a list, as a generator in the same order.

        On a CPU as many batches as there are threads are computed side by side, one thread each: threads that share a batch wait
        for each other in every layer. ``compute`` must therefore be free to run beside itself. It should leave nothing to be
        done with tensors in between: a main thread that computes keeps a core busy long after.
        """
        threads = torch.get_num_threads()
        if not 1 < threads <= len(batches) or self.device.type != "cpu" or hasattr(self.model, "hf_device_map"):
            yield from map(compute, batches)
            return
        precision = {"dtype": torch.get_autocast_dtype("cpu"), "enabled": torch.is_autocast_enabled("cpu")}

        def alone(batch):
            with torch.autocast("cpu", **precision):  # what the caller has set would be unknown to another thread
                return compute(batch)

        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                yield from pool.map(alone, batches)
        finally:
            torch.set_num_threads(threads)  # a part of the setting is the process's, not the thread's

    def tokenize(self, sequences, names=None):
        """Token ids, padded at the end.

        ``names`` is how error messages call the sequences.

        Returns
        -------
        LongTensor, shape [sequences, tokens], on the model's device

        Raises
        ------
        ValueError
            If a sequence is empty, holds a letter that is no amino acid, or is longer than ``max_residues``.
        """
        if isinstance(sequences, str):
            raise TypeError("tokenize takes a list of sequences: write [sequence] for a single one")
        names = names or [f"sequence {number}" for number in range(1, len(sequences) + 1)]
        cleaned = [clean(sequence, name) for sequence, name in zip(sequences, names)]
        for sequence, name in zip(cleaned, names):
            if len(sequence) > self.max_residues:
                raise ValueError(f"{name} has {len(sequence):,} residues; ESM-2 was trained on at most {self.max_residues:,}: "
                                 "cut it into domains or overlapping windows")
        return self.tokenizer(cleaned, padding=True, return_tensors="pt").input_ids.to(self.device)

    @torch.no_grad()
    def forward(self, tokens, **options):
        """Run the model on token ids [sequences, tokens] with the padding masked out (forgetting that shifts logits by tens).

        ``options`` go to ``EsmForMaskedLM``, e.g. ``output_hidden_states=True``. The output has ``logits`` of shape
        [sequences, tokens, 33].
        """
        return self.model(input_ids=tokens, attention_mask=tokens != PAD, **options)


def configuration(layers, dim, heads, token_dropout=True, **options):
    """ESM-2's configuration at any size, for transformers, whose own defaults are another model's.

    ``options`` are further values of transformers' EsmConfig.
    """
    return EsmConfig(vocab_size=len(TOKENS), mask_token_id=MASK, pad_token_id=PAD, hidden_size=dim, num_hidden_layers=layers,
                     num_attention_heads=heads, intermediate_size=4 * dim, hidden_dropout_prob=0.0,
                     attention_probs_dropout_prob=0.0, position_embedding_type="rotary", token_dropout=token_dropout,
                     emb_layer_norm_before=False, max_position_embeddings=1026, layer_norm_eps=1e-5, vocab_list=TOKENS, **options)


def untrained(layers=6, dim=320, heads=20, seed=0, causal=False, attention="eager"):
    """An ESM-2 of any size with random weights: to train, or to compare a trained one with.

    Parameters
    ----------
    layers, dim, heads : int
        By default the 8M architecture. The feed-forward layers are four times as wide as ``dim``.
    seed : int
        The same seed draws the same weights; the global random state is left as it was.
    causal : bool
        Each position sees only itself and those before it, as in an autoregressive model.
    attention : str
        For models this small "eager" trains faster on a CPU than "sdpa".

    Returns
    -------
    PLM
        Its model in eval mode, as always: call ``.model.train()`` before training.

    Raises
    ------
    ValueError
        For a causal model with other than eager attention, which transformers' ESM would not mask.
    """
    if causal and attention != "eager":
        raise ValueError(f"a causal model needs attention='eager', not {attention!r}: with that every position would see all others")
    config = configuration(layers, dim, heads, token_dropout=not causal)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = EsmForMaskedLM._from_config(config, attn_implementation=attention)
    model.config.is_decoder = causal  # read at each call; set earlier, transformers warns that this is unusual
    return PLM(model.eval(), EsmTokenizer(str(datasets.path(EMBEDDED).parent / "vocab.txt")), "random weights")


def load(size=None, device=None, dtype=torch.float32, attention="sdpa"):
    """Load an ESM-2 model and say in one line which weights these are.

    Looked for in this order: an explicit folder; the embedded checkpoint if ``PLMCOURSE_WEIGHTS=embedded``; the local hub
    cache; the model hub (pinned revision, safetensors only); and for 8M, when none can be had, the embedded checkpoint.

    Parameters
    ----------
    size : str, optional
        A key of ``FAMILY`` ("8M" to "15B") or a folder with config.json, vocab.txt and model.safetensors. Without it, the
        environment variable ``PLMCOURSE_MODEL`` counts, then "8M".
    device : str, optional
        Such as "cpu" or "cuda"; a GPU is taken when there is one. Without it, a model that is too large for one device is spread
        over GPUs, CPU and disk (see :mod:`plmcourse.placement`); it can then be run, but not trained.
    dtype : torch.dtype
        Precision of the weights in memory.
    attention : str
        "sdpa" is fast; "eager" is needed where attention maps are read.

    Returns
    -------
    PLM

    Raises
    ------
    ValueError
        If there is no such size, or a file is damaged.
    FileNotFoundError
        If the weights cannot be had.
    """
    size = str(size or os.environ.get("PLMCOURSE_MODEL", "8M"))
    folder, source = find_weights(size)
    model = _read_and_place(folder, device, dtype, attention)
    plm = PLM(model, EsmTokenizer(str(Path(folder) / "vocab.txt")), source)
    config, parameters = model.config, sum(p.numel() for p in model.parameters())
    print(f"{source} · {config.num_hidden_layers} layers × {config.hidden_size} · {parameters:,} parameters · "
          f"{_devices(model)} · {str(plm.dtype).removeprefix('torch.')}")
    return plm


def _read_and_place(folder, device, dtype, attention):
    spread = {} if device else placement.place(weight_bytes(folder, dtype))
    model = read_weights(EsmForMaskedLM, folder, dtype, attention, **spread).eval()
    for layer in model.esm.encoder.layer:
        layer.intermediate.__class__ = FusedIntermediate
    return model if spread else model.to(device or placement.devices()[0])


class FusedIntermediate(EsmIntermediate):
    """First half of a feed-forward layer: PyTorch's exact GELU goes over the memory once, transformers' formula five times."""

    def forward(self, hidden_states):
        return F.gelu(self.dense(hidden_states))


def weight_bytes(folder, dtype):
    """Bytes that the weights in a folder take in memory, whatever their precision in the files."""
    numbers = 0
    for path in Path(folder).glob("*.safetensors"):
        with _damage_named(folder), safe_open(path, "pt") as file:
            numbers += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())
    return numbers * dtype.itemsize


def _devices(model):
    """The devices that a model is on, in words."""
    spread = getattr(model, "hf_device_map", {}).values()
    return " + ".join(dict.fromkeys(f"cuda:{place}" if isinstance(place, int) else str(place) for place in spread)) or model.device.type


def find_weights(size, fetch=True):
    """Folder with the weights of a size, and where they come from in words. See :func:`load` for order and errors.

    ``fetch=False`` looks only at what is on this machine already.
    """
    if size not in FAMILY:
        if not Path(size).is_dir():
            raise ValueError(f"{size!r} is neither a model size ({', '.join(FAMILY)}) nor a folder with weights")
        return Path(size), f"weights from {size}"
    if os.environ.get("PLMCOURSE_WEIGHTS") == "embedded":
        if size != "8M":
            raise FileNotFoundError(f"PLMCOURSE_WEIGHTS=embedded is set, and only 8M is embedded, not {size}")
        return _embedded()
    try:
        return hub_snapshot(FAMILY[size], fetch), f"ESM-2 {size} by Meta AI ({FAMILY[size].repository})"
    except FileNotFoundError as missing:
        if size != "8M":
            raise
        if fetch:
            print(f"Note: {missing} The course goes on with its embedded checkpoint.")
        return _embedded()


def _embedded():
    folder = datasets.path(EMBEDDED).parent
    return folder, f"{EMBEDDED}, the embedded checkpoint (ESM-2's 8M architecture, trained by this course, not Meta's weights)"


def hub_snapshot(size, fetch=True):
    """Folder of a pinned snapshot in the local hub cache, downloaded first if ``fetch`` allows, and verified.

    Raises
    ------
    FileNotFoundError
        If the snapshot is not complete and cannot be fetched, also for want of space on the disk.
    ValueError
        If a weights file does not have the expected SHA-256.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    for offline in (True, False):
        if not offline and not (fetch and _hub_answers()):
            break
        if not offline:
            _check_disk(size)
        try:
            folder = Path(snapshot_download(size.repository, revision=size.revision, allow_patterns=_WANTED,
                                            local_files_only=offline))
        except (LocalEntryNotFoundError, HfHubHTTPError):
            continue  # nothing cached, or the hub refuses
        missing = [name for name in ("config.json", "vocab.txt") if not (folder / name).is_file()]
        weights = sorted(folder.glob("*.safetensors"))
        if weights and not missing:
            for file in weights:
                _verify(file, size)
            return folder
    raise FileNotFoundError(f"the weights of {size.title} ({size.repository}, revision {size.revision[:7]}, safetensors, "
                            f"{size.bytes / 1e9:.2f} GB) are not complete in the hub cache and cannot be fetched: "
                            f"run 'plmcourse fetch {size.name}' online.")


def _check_disk(size):
    """Before gigabytes are fetched: is there room for them where the hub cache lies?"""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE).absolute()
    free = shutil.disk_usage(next(folder for folder in (cache, *cache.parents) if folder.is_dir())).free
    if free < size.bytes:
        raise FileNotFoundError(f"the weights of {size.title} are not in the hub cache, and fetching them takes {size.bytes / 1e9:.2f} GB "
                                f"of disk, of which {free / 1e9:.2f} GB are free in {cache}: "
                                f"{(size.bytes - free) / 1e9:.2f} GB are missing.")


def _hub_answers():
    """Whether the hub can be reached. Asked once and briefly: huggingface_hub itself would try for half a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=5).close()
    except OSError as error:  # a refusal is an answer too; certificates are huggingface_hub's business
        return isinstance(error, HTTPError) or isinstance(getattr(error, "reason", None), ssl.SSLError)
    return True


def _verify(file, size):
    """Compare a weights file with the known checksum; without one, with its name in the cache, which is the hub's own."""
    stored = file.resolve().name
    expected = size.sha256 or ((stored,) if re.fullmatch("[0-9a-f]{64}", stored) else ())
    if expected and datasets.sha256(file) not in expected:
        raise ValueError(f"{file} is damaged or not Meta's file: its SHA-256 is not the expected {expected[0][:12]}…; delete it "
                         f"and run 'plmcourse fetch {size.name}'")


def read_weights(model_class, folder, dtype, attention, **options):
    """A model of one of transformers' classes from the safetensors file in a folder.

    Raises
    ------
    FileNotFoundError
        If config.json or vocab.txt is missing.
    ValueError
        If the safetensors file is damaged.
    """
    for name in ("config.json", "vocab.txt"):
        if not (Path(folder) / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name}: weights come with config.json, vocab.txt and model.safetensors")
    with _damage_named(folder):
        return model_class.from_pretrained(folder, dtype=dtype, attn_implementation=attention, use_safetensors=True,
                                           local_files_only=True, **options)


@contextmanager
def _damage_named(folder):
    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"the safetensors file in {folder} is damaged or cut short: {error}") from error


def fair_esm():
    """The module ``esm`` of fair-esm, Meta's original code, or one sentence on what is wrong with the installation.

    Raises
    ------
    ImportError
        If it is missing, or if PyPI's ``esm`` (another project, by EvolutionaryScale) sits in its place.
    """
    installed = {name.lower() for found in importlib.metadata.distributions() if (name := found.metadata["Name"])}
    if "esm" in installed:
        raise ImportError("the PyPI package 'esm' (EvolutionaryScale's ESM3) is installed in the place of fair-esm, and both "
                          "are imported as 'esm': run 'pip uninstall esm', then 'pip install --force-reinstall fair-esm'")
    if "fair-esm" not in installed:
        raise ImportError("fair-esm, Meta's original ESM-2 code, is not installed: run 'pip install fair-esm'")
    import esm

    return esm


# transformers' parameter names -> fair-esm's, applied in this order
_RENAME = [("esm.encoder.layer.", "layers."), (".attention.LayerNorm.", ".self_attn_layer_norm."),
           (".attention.self.rotary_embeddings.", ".self_attn.rot_emb."), (".attention.self.query.", ".self_attn.q_proj."),
           (".attention.self.key.", ".self_attn.k_proj."), (".attention.self.value.", ".self_attn.v_proj."),
           (".attention.output.dense.", ".self_attn.out_proj."), (".LayerNorm.", ".final_layer_norm."),
           (".intermediate.dense.", ".fc1."), (".output.dense.", ".fc2."),
           ("esm.embeddings.word_embeddings.", "embed_tokens."), ("esm.encoder.emb_layer_norm_after.", "emb_layer_norm_after."),
           ("esm.contact_head.", "contact_head."), ("lm_head.decoder.", "lm_head.")]


def to_fair_esm(plm):
    """The same weights in fair-esm: an independent second implementation, and the lecture's own interface.

    Returns
    -------
    model, alphabet : esm.ESM2, esm.Alphabet
        The model in eval mode on the CPU, float32.
    """
    esm = fair_esm()
    config, alphabet = plm.config, esm.Alphabet.from_architecture("ESM-1b")
    model = esm.ESM2(config.num_hidden_layers, config.hidden_size, config.num_attention_heads, alphabet,
                     token_dropout=config.token_dropout)
    state = {}
    for name, value in plm.model.state_dict().items():
        for theirs, ours in _RENAME:
            name = name.replace(theirs, ours)
        state[name] = value.float().cpu()
    missing, unexpected = model.load_state_dict(state, strict=False)
    rotary = next(value for name, value in plm.model.named_buffers() if name.endswith("inv_freq"))
    for layer in model.layers:  # copied from transformers, since recomputing them differs in the last bit
        layer.self_attn.rot_emb.inv_freq.copy_(rotary.cpu())
    wrong = [name for name in missing if "rot_emb" not in name] + [name for name in unexpected if "rotary" not in name]
    if wrong:
        raise ValueError(f"these weights do not fit fair-esm's ESM-2: {', '.join(wrong[:3])}")
    return model.eval(), alphabet
