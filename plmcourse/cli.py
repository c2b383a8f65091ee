"""The command ``plmcourse``: what this machine can run, fetching weights, and for instructors, grading."""
import argparse
import os
import platform
import sys
import warnings
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version

import psutil

from plmcourse import __version__
from plmcourse.grading import commands as instructors

_PACKAGES = ("torch", "transformers", "fair-esm", "numpy", "scikit-learn", "biotite", "jupyterlab")


def main(arguments=None):
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="plmcourse", description="Helper of the course on protein language models.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="say what this machine has and which models would run on it").set_defaults(run=doctor)
    fetch_parser = commands.add_parser("fetch", help="download ESM-2's or ESMFold's weights into the hub cache and verify them")
    fetch_parser.add_argument("size", help="8M, 35M, 150M, 650M, 3B, 15B or ESMFold")
    fetch_parser.set_defaults(run=fetch)
    _add_proteomes(commands)
    instructors.add(commands)
    chosen = parser.parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *place: print(message, file=sys.stderr)  # a sentence, not a line of our code
            return chosen.run(chosen)
    except (ValueError, OSError, ImportError) as error:
        print(f"plmcourse: {error}", file=sys.stderr)
        return 1


def _add_proteomes(commands):
    for name, work in (("embed", "embed all proteins of a FASTA file"), ("scan", "score all single mutants of all proteins of a FASTA file")):
        parser = commands.add_parser(name, help=f"{work} into an HDF5 file",
                                     description=f"Say the same again after an interruption: what is done is kept. {work.capitalize()}.")
        parser.add_argument("fasta", help="FASTA file, may be gzipped")
        parser.add_argument("-o", "--output", required=True, help="HDF5 file, one array per id")
        parser.add_argument("--model", help="8M to 15B, or a folder with weights")
        parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="precision of the computation")
        parser.add_argument("--dask", metavar="ADDRESS", help="scheduler of a Dask cluster, such as tcp://host:8786")
        parser.set_defaults(run=proteome)
        if name == "embed":
            parser.add_argument("--layer", type=int, default=-1, help="0 is the input, -1 the last (default)")
            parser.add_argument("--pooled", action="store_true", help="one vector per protein instead of one per residue")


def proteome(chosen):
    """The commands ``embed`` and ``scan``: a FASTA file in, an HDF5 file out; bad records are listed at the end."""
    from plmcourse import proteomes

    with _cluster(chosen.dask) as client:
        options = {"model": chosen.model, "dtype": chosen.dtype, "client": client}
        if chosen.command == "embed":
            report = proteomes.embed_fasta(chosen.fasta, chosen.output, layer=chosen.layer, pooled=chosen.pooled, **options)
        else:
            report = proteomes.scan_fasta(chosen.fasta, chosen.output, **options)
    print(f"{chosen.output}: {report.ids:,} ids, {report.proteins:,} different proteins")
    for sentence in report.bad:
        print(f"left out: {sentence}", file=sys.stderr)
    return 2 if report.bad else 0


def _cluster(address):
    """A client of the Dask cluster, if there is to be one."""
    if address is None:
        return nullcontext()
    from distributed import Client

    return Client(address)


def doctor(_=None):
    """Print Python, device, memory, packages, and for each model size whether its weights are here and would fit."""
    from plmcourse import datasets, esmfold, models, placement

    print(f"plmcourse {__version__} · Python {platform.python_version()} · {platform.system()} {platform.machine()}")
    print(" · ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    memory, device = _memory()
    print(f"{os.cpu_count()} cores · {psutil.virtual_memory().total / 1e9:.1f} GB memory · {device}")
    healthy = _report(models.fair_esm, "fair-esm is the right one") & _report(
        lambda: [datasets.path(name) for name in datasets.names()], f"{len(datasets.names())} data files are complete")
    print(f"\n{'size':>5} {'parameters':>15}  {'memory (float32)':>16}  weights")
    for size in models.FAMILY.values():
        need = size.parameters * 4 * placement.ROOM
        print(f"{size.name:>5} {size.parameters:>15,}  {need / 1e9:>13.1f} GB  {_weights(size)}; {placement.forecast(size.parameters * 4)}")
    need = esmfold.memory_needed(300)
    print(f"ESMFold takes {need / 1e9:.1f} GB for a protein of 300 residues: {_weights(models.ESMFOLD)}; {_fits(need, memory)}")
    print(f'\nplmcourse.load() would take: {models.find_weights(os.environ.get("PLMCOURSE_MODEL", "8M"), fetch=False)[1]}')
    return 0 if healthy else 1


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _memory():
    """Bytes that are free on the GPU if there is one, else in RAM, and the device in words."""
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return free, f"{torch.cuda.get_device_name()} with {total / 1e9:.0f} GB"
    return psutil.virtual_memory().available, "no GPU"


def _report(test, fine):
    try:
        test()
    except (ImportError, ValueError) as error:
        print(f"✗ {error}")
        return False
    print(f"✓ {fine}")
    return True


def _fits(need, memory):
    return "would run" if need < memory else f"needs {(need - memory) / 1e9:.0f} GB more"


def _weights(size):
    from plmcourse import models

    try:
        models.hub_snapshot(size, fetch=False)
        return "in the hub cache"
    except FileNotFoundError:
        return "embedded only" if size.name == "8M" else "not here"
    except ValueError as error:
        return str(error)


def fetch(chosen):
    """Download the pinned snapshot of one size and verify it."""
    from plmcourse import models

    known = {**models.FAMILY, models.ESMFOLD.name: models.ESMFOLD}
    if chosen.size not in known:
        raise ValueError(f"there is no size {chosen.size!r}; there are: {', '.join(known)}")
    folder = models.hub_snapshot(known[chosen.size])
    print(f"{known[chosen.size].title} is complete and verified in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
