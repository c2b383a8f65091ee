"""2 GB of zeros in an archive of 10 MB, named as a notebook; members that share their data; one that lies about its size."""
import json
import zipfile

from hostile import RIGHT, earns, notebook, write

EARNS = earns("3.1")
EXPORT = True


def swell(archive, student):
    with archive.open(f"{student}_4712_816_02_esm2_architecture.ipynb", "w", force_zip64=True) as member:
        for _ in range(128):
            member.write(bytes(2 ** 24))


def make(folder):
    write(folder, {"3.1": RIGHT["3.1"]})
    with zipfile.ZipFile(folder / "02_esm2_architecture.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        swell(archive, "mallory")


def make_export(path):
    """An export in which mallory hands in a plain notebook and one of 2 GB, for which 20 other names stand; a size is a lie."""
    text = json.dumps(notebook(path.parent / "mallory", {"3.1": RIGHT["3.1"]}))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("mallory_4711_815_03_embeddings.ipynb", text)
        swell(archive, "mallory")
        big = archive.filelist[-1]
        for number in range(20):
            twin = zipfile.ZipInfo(f"mallory{number}_{number}_{number}_03_embeddings.ipynb")
            for name in ("compress_type", "compress_size", "file_size", "CRC", "header_offset", "flag_bits"):
                setattr(twin, name, getattr(big, name))
            archive.filelist.append(twin)
        archive.filelist[-1].file_size = 100
