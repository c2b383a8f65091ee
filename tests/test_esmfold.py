"""ESMFold end to end with a small random model saved as if it were the hub's, and what fold() says when it cannot run."""
import dataclasses
import io
import threading

import huggingface_hub.constants
import numpy as np
import psutil
import pytest
import torch
from biotite.sequence import ProteinSequence
from biotite.structure.io.pdb import PDBFile
from safetensors.torch import load_file, save_file
from transformers import EsmForMaskedLM, EsmForProteinFolding
from transformers.models.esm.modeling_esmfold import EsmFoldingTrunk

import plmcourse as pc
from plmcourse import cli, datasets, esmfold, models

SEQUENCE = "MKTAYIAKQRWHCDEGVPNSFL"  # all 20
EMBEDDED = datasets.path(models.EMBEDDED).parent


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The small model with a float16 backbone, its file laid out as the hub's: older, with rotary frequencies in each layer."""
    folder = tmp_path_factory.mktemp("saved")
    model = esmfold.untrained_esmfold()
    model.config.esmfold_config.fp16_esm = True
    model.esm.half()
    model.save_pretrained(folder)
    weights = {name: value for name, value in load_file(folder / "model.safetensors").items() if "inv_freq" not in name}
    frequencies = model.esm.rotary_embeddings.inv_freq
    for layer in range(model.config.num_hidden_layers):
        weights[f"esm.encoder.layer.{layer}.attention.self.rotary_embeddings.inv_freq"] = frequencies.clone()
    weights["esm.embeddings.position_ids"] = torch.arange(1026)[None]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "vocab.txt").write_bytes((EMBEDDED / "vocab.txt").read_bytes())
    return folder


@pytest.fixture
def hub(saved, tmp_path, monkeypatch):
    """An empty hub cache, and a function that puts the small model into it as if ESMFold had been fetched."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(esmfold, "_LOADED", {})
    small = dataclasses.replace(models.ESMFOLD, sha256=(datasets.sha256(saved / "model.safetensors"),), file_bytes=10_000_000)
    monkeypatch.setattr(models, "ESMFOLD", small)

    def add(damage=False):
        home = tmp_path / "models--facebook--esmfold_v1"
        snapshot = home / "snapshots" / "ba837a39b67e59941c3f017d6c2a064f567038d9"
        (home / "blobs").mkdir(parents=True)
        snapshot.mkdir(parents=True)
        for name in ("config.json", "vocab.txt", "model.safetensors"):
            content = (saved / name).read_bytes()
            blob = home / "blobs" / name
            blob.write_bytes(content[:-1] + b"x" if damage and name.endswith("safetensors") else content)
            (snapshot / name).symlink_to(blob)

    return add


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    """Fails the test as soon as fold() looks at the memory or for weights."""
    monkeypatch.setattr(esmfold, "free_memory", lambda device: pytest.fail("memory was measured"))
    monkeypatch.setattr(models, "hub_snapshot", lambda *options: pytest.fail("weights were looked for"))


# --- the real class, small and true ---

def test_the_true_model_has_the_size_of_the_published_file():
    with torch.device("meta"):
        model = EsmForProteinFolding(esmfold.true_configuration())
        language_model = EsmForMaskedLM(models.configuration(1, 2560, 40))
    parameters = list(model.parameters())
    assert sum(p.numel() for p in parameters) == models.ESMFOLD.parameters == 3_525_038_915
    assert sum(p.numel() * p.element_size() for p in parameters) == models.ESMFOLD.bytes == 8_435_267_018
    backbone = sum(p.numel() for p in model.esm.parameters())
    head = sum(p.numel() for p in language_model.lm_head.parameters()) - 33 * 2560  # its output weight is the embedding's
    assert backbone == models.FAMILY["3B"].parameters - head


def test_untrained_models_differ_by_their_seed_alone():
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    one, same, other = (esmfold.untrained_esmfold(seed).trunk.recycle_disto.weight for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_every_part_of_the_small_trunk_does_something():
    """Zeros at initialisation would make each block the identity, and a demonstration of it empty."""
    model = esmfold.untrained_esmfold()
    assert not model.training and {p.dtype for p in model.parameters()} == {torch.float32}
    sizes = {}
    block = model.trunk.blocks[0]
    for name in ("seq_attention", "sequence_to_pair", "tri_mul_out", "tri_mul_in", "tri_att_start", "tri_att_end"):
        def record(module, inputs, output, name=name):
            update = output[0] if isinstance(output, tuple) else output
            sizes[name] = float(update.norm() / inputs[0].norm())
        getattr(block, name).register_forward_hook(record)
    model.infer(SEQUENCE)
    assert len(sizes) == 6 and all(0.03 < size < 3 for size in sizes.values()), sizes


def test_four_passes_and_each_changes_the_pair_state_and_the_coordinates():
    model = esmfold.untrained_esmfold()
    pairs, places = [], []
    model.trunk.blocks[-1].register_forward_hook(lambda module, inputs, output: pairs.append(output[1]))
    model.trunk.structure_module.register_forward_hook(lambda module, inputs, output: places.append(output["positions"][-1, 0, :, 1]))
    model.infer(SEQUENCE)
    assert len(pairs) == len(places) == 4
    assert all((after - before).norm() > 0.05 * before.norm() for before, after in zip(pairs, pairs[1:]))
    assert all((after - before).norm(dim=-1).mean() > 0.5 for before, after in zip(places, places[1:]))  # Å


# --- fold ---

def test_fold_returns_what_the_model_computes(hub, capfd):
    hub()
    fold = pc.fold(SEQUENCE, device="cpu")
    model = esmfold._LOADED["cpu"]
    assert {p.dtype for p in model.esm.parameters()} == {torch.float16}
    assert {p.dtype for p in [*model.trunk.parameters(), *model.lddt_head.parameters()]} == {torch.float32}
    assert model.trunk.chunk_size == esmfold.CHUNK
    output = model.infer(SEQUENCE)
    atoms = PDBFile.read(io.StringIO(fold.pdb)).get_structure(model=1, extra_fields=["b_factor"])
    alpha = atoms[atoms.atom_name == "CA"]
    assert "".join(ProteinSequence.convert_letter_3to1(name) for name in alpha.res_name) == fold.sequence == SEQUENCE
    assert np.array_equal(alpha.res_id, np.arange(1, 23))
    assert np.abs(alpha.coord - output["positions"][-1, 0, :, 1].numpy()).max() <= 0.00051  # PDB files have three decimals
    assert np.abs(alpha.b_factor - fold.plddt).max() <= 0.0051
    assert np.array_equal(fold.plddt, 100 * output["plddt"][0, :, 1].numpy()) and fold.plddt.min() > 1
    beta = atoms[(atoms.atom_name == "CB")]
    assert np.abs(beta.b_factor - 100 * output["plddt"][0, beta.res_id - 1, 3].numpy()).max() <= 0.0051  # each atom has its own
    assert 0 <= fold.ptm <= 1 and fold.ptm == float(output["ptm"])
    assert fold.pae.shape == (22, 22) and fold.pae.min() >= 0
    assert np.array_equal(fold.pae, output["predicted_aligned_error"][0].numpy()) and not np.allclose(fold.pae, fold.pae.T)
    assert capfd.readouterr() == ("", "")  # no report of weights that are missing or too many
    assert repr(fold) == f"Fold(sequence='{SEQUENCE}', ptm={fold.ptm})"


def test_the_saved_model_is_the_one_that_folds(hub):
    """Loading loses no weight: the same backbone in float16 and the same trunk, without a file in between."""
    hub()
    model = esmfold.untrained_esmfold()
    model.esm.half()
    assert np.allclose(pc.fold(SEQUENCE, "cpu").plddt, 100 * model.infer(SEQUENCE)["plddt"][0, :, 1].numpy(), atol=1e-3)


def test_the_model_is_read_once_and_the_answer_is_the_same(hub, monkeypatch):
    hub()
    first = pc.fold(SEQUENCE, "cpu")
    monkeypatch.setattr(models, "hub_snapshot", lambda *options: pytest.fail("read again"))
    monkeypatch.setattr(esmfold, "free_memory", lambda device: 210_000_000)  # too little for the weights as well
    again = pc.fold(SEQUENCE, "cpu")
    assert again.pdb == first.pdb and np.array_equal(again.pae, first.pae)


@pytest.mark.parametrize("length", [1, 2, 130])
def test_any_length_folds(hub, length):
    hub()
    fold = pc.fold((SEQUENCE * 6)[:length], "cpu")
    assert fold.plddt.shape == (length,) and np.isfinite(fold.pae).all() and fold.pae.shape == (length, length)


def test_lower_case_is_read_as_upper_case(hub):
    hub()
    with pytest.warns(UserWarning, match="lower-case letters"):
        fold = pc.fold(SEQUENCE.lower(), "cpu")
    assert fold.sequence == SEQUENCE


@pytest.mark.parametrize("sequence, sentence", [
    ("", "is empty"), ("MKJ", "'J' at position 3"), ("XMK", "'X' at position 1"), ("M-K", "'-' at position 2"), ("MK\n", "at position 3"),
    ("MK:MK", "':' at position 3"), ("M" * 1023, "1,023 residues; .*at most 1,022")])
def test_a_bad_sequence_is_refused_before_anything_is_loaded(sequence, sentence, nothing_is_loaded):
    with pytest.raises(ValueError, match=sentence):
        pc.fold(sequence)


def test_something_else_than_a_sequence_is_refused(nothing_is_loaded):
    with pytest.raises(TypeError, match="is a list, not a string"):
        pc.fold([SEQUENCE])


# --- what is missing ---

def test_too_little_memory_is_said_before_weights_are_looked_for(monkeypatch):
    monkeypatch.setattr(models, "hub_snapshot", lambda *options: pytest.fail("weights were looked for"))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 3_000_000_000}))
    with pytest.raises(MemoryError, match="folding 100 residues takes 8.7 GB of memory on cpu, of which 3.0 GB .* 5.7 GB are missing"):
        pc.fold("M" * 100, "cpu")


def test_a_gpu_without_room_leaves_the_work_to_the_cpu(monkeypatch):
    free = {"cuda": 4e9, "cpu": 16e9}
    monkeypatch.setattr(esmfold, "free_memory", free.get)
    assert esmfold._choose_device(100, ["cuda", "cpu"]) == "cpu"
    free["cuda"] = 16e9
    assert esmfold._choose_device(100, ["cuda", "cpu"]) == "cuda"


def test_memory_that_pytorch_holds_on_the_gpu_unused_counts_as_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2, 16))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 12)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 8)
    assert esmfold.free_memory("cuda") == 6


def test_missing_weights_are_named(hub, monkeypatch):
    monkeypatch.setattr(models, "ESMFOLD", dataclasses.replace(models.ESMFOLD, file_bytes=8_435_267_018))
    monkeypatch.setattr(esmfold, "free_memory", lambda device: 1e12)
    with pytest.raises(FileNotFoundError, match=r"the weights of ESMFold \(facebook/esmfold_v1, revision ba837a3, safetensors, 8.44 GB\) "
                                                "are not complete in the hub cache .*run 'plmcourse fetch ESMFold' online"):
        pc.fold(SEQUENCE)


def test_nothing_is_fetched_unasked(hub, monkeypatch):
    asked = []
    monkeypatch.setattr(esmfold, "free_memory", lambda device: 1e12)
    monkeypatch.setattr(models, "_hub_answers", lambda: asked.append("hub"))
    with pytest.raises(FileNotFoundError, match="not complete in the hub cache"):
        pc.fold(SEQUENCE, fetch=False)
    assert asked == []
    with pytest.raises(FileNotFoundError):
        pc.fold(SEQUENCE)
    assert asked == ["hub"]


def test_a_damaged_file_is_named(hub):
    hub(damage=True)
    with pytest.raises(ValueError, match="model.safetensors is damaged or not Meta's file.*plmcourse fetch ESMFold"):
        pc.fold(SEQUENCE, "cpu")


def test_fetch_knows_esmfold(hub, capsys):
    assert cli.main(["fetch", "ESMFold"]) == 1
    assert "the weights of ESMFold" in capsys.readouterr().err
    hub()
    assert cli.main(["fetch", "ESMFold"]) == 0
    assert "ESMFold is complete and verified" in capsys.readouterr().out


def test_the_estimate_of_memory_is_not_below_the_measured_peak():
    """One block of the trunk at its true width; more blocks would not take more."""
    residues, config = 160, esmfold.true_configuration().esmfold_config.trunk
    config.num_blocks, config.structure_module.num_blocks = 1, 1
    trunk = EsmFoldingTrunk(config).eval()
    trunk.set_chunk_size(esmfold.CHUNK)

    def run(length):
        residues = torch.arange(length)[None]
        with torch.no_grad():
            states = torch.randn(1, length, 1024), torch.zeros(1, length, length, 128)
            trunk(*states, residues % 20, residues, residues * 0 + 1, no_recycles=0)

    run(8)  # libraries take their memory at the first call
    process, done = psutil.Process(), threading.Event()
    start = process.memory_info().rss
    peaks = [start]

    def watch():  # ru_maxrss would remember what the whole test run once took
        while not done.wait(0.002):
            peaks.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    run(residues)
    done.set()
    watcher.join()
    estimate = esmfold.memory_needed(residues, loaded=True)
    assert 0.1 * estimate < max(peaks) - start < estimate, "a tenth would mean that nothing was measured"
