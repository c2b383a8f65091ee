"""Which weights are loaded, and that two independent implementations agree on them."""
import dataclasses
import importlib.metadata
import re
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import huggingface_hub
import huggingface_hub.constants
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

import plmcourse as pc
from plmcourse import cli, datasets, models
from plmcourse.checks.tiny import course_plm

EMBEDDED = datasets.path(models.EMBEDDED).parent
PROTEINS = ["MKTAYIAKQRQISFVKSHFSRQ", "GG", "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG", "XBUZO" * 3]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub cache, and a function that puts a copy of the embedded weights into it as if they had been fetched."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("PLMCOURSE_WEIGHTS", raising=False)

    def add(size, revision=None, leave_out=(), damage=False):
        entry = models.FAMILY[size]
        home = tmp_path / f"models--{entry.repository.replace('/', '--')}"
        snapshot = home / "snapshots" / (revision or entry.revision)
        (home / "blobs").mkdir(parents=True)
        snapshot.mkdir(parents=True)
        for name in {"config.json", "vocab.txt", "model.safetensors"} - set(leave_out):
            blob = home / "blobs" / datasets.sha256(EMBEDDED / name)
            shutil.copy(EMBEDDED / name, blob)
            if damage and name.endswith("safetensors"):
                blob.write_bytes(blob.read_bytes()[:-1] + b"x")
            (snapshot / name).symlink_to(blob)
        return snapshot

    return add


def test_the_family_has_the_published_parameter_counts():
    from transformers import EsmConfig, EsmForMaskedLM

    for size in models.FAMILY.values():
        config = EsmConfig(vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=size.dim, num_hidden_layers=size.layers,
                           num_attention_heads=size.heads, intermediate_size=4 * size.dim, position_embedding_type="rotary",
                           token_dropout=True, emb_layer_norm_before=False, max_position_embeddings=1026)
        with torch.device("meta"):
            model = EsmForMaskedLM(config)
        assert sum(p.numel() for p in model.parameters()) == size.parameters, size.name


def test_the_pinned_snapshot_is_taken_from_the_cache(hub):
    snapshot = hub("35M")
    folder, source = models.find_weights("35M")
    assert folder == snapshot and "Meta AI" in source


def test_another_revision_is_not_taken(hub):
    hub("35M", revision="0" * 40)
    with pytest.raises(FileNotFoundError, match="35M .*not complete in the hub cache.*plmcourse fetch 35M"):
        models.find_weights("35M")


@pytest.mark.parametrize("missing", ["config.json", "vocab.txt", "model.safetensors"])
def test_an_incomplete_snapshot_is_not_taken(hub, missing):
    hub("35M", leave_out=[missing])
    with pytest.raises(FileNotFoundError, match="not complete in the hub cache"):
        models.find_weights("35M")


def test_a_damaged_file_is_named(hub):
    hub("35M", damage=True)
    with pytest.raises(ValueError, match="model.safetensors is damaged or not Meta's file"):
        models.find_weights("35M")


def test_weights_that_are_not_metas_are_refused_for_8m(hub):
    hub("8M")
    with pytest.raises(ValueError, match="not the expected 24c5fa474c48"):
        models.find_weights("8M")


def test_8m_weights_with_the_known_checksum_are_taken(hub, monkeypatch):
    snapshot = hub("8M")
    known = dataclasses.replace(models.FAMILY["8M"], sha256=(datasets.sha256(EMBEDDED / "model.safetensors"),))
    monkeypatch.setitem(models.FAMILY, "8M", known)
    assert models.find_weights("8M")[0] == snapshot


def test_8m_falls_back_to_the_embedded_checkpoint_with_a_notice(hub, capsys):
    plm = pc.load("8M")
    printed = capsys.readouterr().out
    assert "goes on with its embedded checkpoint" in printed and "not Meta's" in printed
    assert plm.source.startswith("course-8M")


def test_without_a_network_nobody_waits_for_the_hub(hub, monkeypatch):
    """huggingface_hub would try five times; an address where nobody listens is asked once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", nobody)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    tries = []

    def empty_cache(*names, local_files_only, **options):
        tries.append("cache" if local_files_only else "hub")
        raise LocalEntryNotFoundError("nothing there")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", empty_cache)
    assert pc.load("8M").source.startswith("course-8M")
    assert tries == ["cache"]


def test_a_hub_that_answers_is_asked(monkeypatch):
    class Refuses(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(404)

        def log_message(self, *text):
            pass

    with HTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        assert models._hub_answers()


@pytest.mark.parametrize("free, asked", [(1_000_000_000, ["cache"]), (3_000_000_000, ["cache", "hub"])])
def test_a_full_disk_is_said_before_anything_is_fetched(tmp_path, monkeypatch, free, asked):
    tries = []

    def nothing(*names, local_files_only, **options):
        tries.append("cache" if local_files_only else "hub")
        raise LocalEntryNotFoundError("nothing there")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", nothing)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "not" / "there"))
    monkeypatch.setattr(models, "_hub_answers", lambda: True)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free if folder == tmp_path else None))
    full = "ESM-2 650M are not in .* takes 2.60 GB of disk, of which 1.00 GB are free in .*there: 1.60 GB are missing"
    with pytest.raises(FileNotFoundError, match=full if asked == ["cache"] else "cannot be fetched"):
        models.hub_snapshot(models.FAMILY["650M"])
    assert tries == asked


def test_other_sizes_do_not_fall_back(hub):
    with pytest.raises(FileNotFoundError, match="run 'plmcourse fetch 650M' online"):
        pc.load("650M")


def test_embedded_means_embedded(monkeypatch):
    monkeypatch.setenv("PLMCOURSE_WEIGHTS", "embedded")
    assert models.find_weights("8M")[0] == EMBEDDED
    with pytest.raises(FileNotFoundError, match="only 8M is embedded, not 650M"):
        pc.load("650M")


def test_an_unknown_size_is_named():
    with pytest.raises(ValueError, match="'9M' is neither a model size"):
        pc.load("9M")


def test_a_truncated_safetensors_file_is_named(tmp_path):
    for name in ("config.json", "vocab.txt"):
        shutil.copy(EMBEDDED / name, tmp_path)
    (tmp_path / "model.safetensors").write_bytes((EMBEDDED / "model.safetensors").read_bytes()[:100_000])
    with pytest.raises(ValueError, match=f"safetensors file in {tmp_path} is damaged or cut short"):
        pc.load(tmp_path)


def test_a_folder_without_config_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no config.json"):
        pc.load(tmp_path)


def test_transformers_and_fair_esm_agree():
    plm = course_plm()
    fair, alphabet = pc.to_fair_esm(plm)
    tokens = plm.tokenize(PROTEINS)
    assert [alphabet.get_tok(i) for i in range(33)] == pc.sequences.TOKENS
    with torch.no_grad():
        theirs = fair(tokens, repr_layers=range(7), return_contacts=True)
    ours = plm.forward(tokens, output_hidden_states=True)
    real = tokens != pc.sequences.PAD
    assert (ours.logits - theirs["logits"])[real].abs().max() < 1e-4
    for layer in range(7):
        states = ours.hidden_states[layer][real]  # before the final LayerNorm they grow to a hundred, and rounding with them
        assert (states - theirs["representations"][layer][real]).abs().max() < 1e-5 * states.abs().max()
    eager = pc.load(EMBEDDED, attention="eager")
    contacts = eager.model.predict_contacts(tokens, real.long())
    for row, protein in enumerate(PROTEINS):
        part = slice(0, len(protein))
        # among two residues a head may attend to neither: both libraries then divide zero by zero
        assert torch.allclose(contacts[row, part, part], theirs["contacts"][row, part, part], rtol=0, atol=1e-4, equal_nan=len(protein) < 3)


def test_pypi_esm_in_the_place_of_fair_esm_is_named(monkeypatch):
    class Other:
        metadata = {"Name": "esm"}

    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [Other])
    with pytest.raises(ImportError, match="PyPI package 'esm'.*pip uninstall esm"):
        models.fair_esm()


def test_a_very_long_protein_is_named():
    with pytest.raises(ValueError, match="sequence 2 has 10,000 residues; ESM-2 was trained on at most 1,022"):
        course_plm().tokenize(["MK", "M" * 10_000])
    assert course_plm().tokenize(["M" * 1022]).shape == (1, 1024)


def test_a_single_string_is_not_a_list_of_sequences():
    with pytest.raises(TypeError, match=r"write \[sequence\]"):
        course_plm().tokenize("MKT")


def test_doctor_reports_all_sizes(capsys, hub):
    assert cli.main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{size.parameters:,}" in printed for size in models.FAMILY.values())
    assert "embedded only" in printed and "course-8M" in printed
    assert re.search(r"ESMFold takes 9.5 GB for a protein of 300 residues: not here; (would run|needs \d+ GB more)", printed)


def test_fetch_says_what_is_missing(capsys, hub):
    assert cli.main(["fetch", "35M"]) == 1
    assert "not complete in the hub cache" in capsys.readouterr().err
    hub("35M")
    assert cli.main(["fetch", "35M"]) == 0
    assert cli.main(["fetch", "7M"]) == 1
    assert "there is no size '7M'" in capsys.readouterr().err


def test_a_causal_model_sees_nothing_to_the_right():
    plm = models.untrained(layers=2, dim=32, heads=2, causal=True)
    logits = plm.forward(plm.tokenize(["MKTAY", "MKTAW"])).logits
    assert torch.equal(logits[0, :5], logits[1, :5]) and not torch.allclose(logits[0, 5], logits[1, 5])
    with pytest.raises(ValueError, match="attention='eager', not 'sdpa'"):
        models.untrained(causal=True, attention="sdpa")


def test_untrained_models_differ_by_their_seed_alone():
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    one, same, other = (models.untrained(layers=1, dim=16, heads=2, seed=seed).model.lm_head.dense.weight for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_fused_feed_forward_is_transformers_own():
    plm = course_plm()
    slow = models.EsmForMaskedLM.from_pretrained(models.datasets.path(models.EMBEDDED).parent, dtype=torch.float32).eval()
    tokens = plm.tokenize(["MKTAYIAKQRQISFVKSHFSRQ", "GAV"])
    with torch.no_grad():
        expected = slow(tokens, attention_mask=tokens != 1).logits
    assert torch.allclose(plm.forward(tokens).logits, expected, atol=1e-4)
    assert not any(isinstance(module, models.FusedIntermediate) for module in slow.modules())
