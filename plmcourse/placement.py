"""Where a model goes: on one device if it fits there, else spread by accelerate over GPUs, CPU and disk."""
import atexit
import shutil
import tempfile

import psutil
import torch

ROOM = 1.3  # times the weights: a third on top for what is computed on the way, as a rule of thumb


def free_memory(device):
    """Bytes that are free on a device, as measured: of RAM, or of the GPU with what PyTorch holds there without using it."""
    if torch.device(device).type != "cuda":
        return psutil.virtual_memory().available
    return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def devices():
    """All devices, the first choice first: GPUs, then the CPU."""
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] + ["cpu"]


def place(weights):
    """Options of transformers' ``from_pretrained`` for weights of so many bytes.

    Returns
    -------
    dict
        Empty when the first device has room for them. Otherwise accelerate fills GPUs, then RAM, and leaves the rest on the disk, from
        which each forward pass reads it anew: slow, but it runs.
    """
    free = {device: free_memory(device) for device in devices()}
    if weights * ROOM <= free[devices()[0]]:
        return {}
    folder = tempfile.mkdtemp(prefix="plmcourse-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    most = {int(device.removeprefix("cuda:")) if device != "cpu" else device: int(there / ROOM) for device, there in free.items()}
    return {"device_map": "auto", "max_memory": most, "offload_folder": folder}


def forecast(weights):
    """What :func:`place` will do, in words, for weights of so many bytes."""
    free, need = [free_memory(device) for device in devices()], weights * ROOM
    if need <= free[0]:
        return "would run"
    if need <= sum(free):
        return f"would be spread over {len(free) - 1} GPU{'s' * (len(free) > 2)} and the CPU"
    return f"would run in part from the disk, slowly: {(need - sum(free)) / 1e9:.0f} GB of memory are missing"
