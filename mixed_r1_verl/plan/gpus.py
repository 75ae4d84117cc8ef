"""GPUs: memory, peak rate and bandwidth.

Dense bfloat16 rates are those of verl's own MFU counter (`verl/utils/flops_counter.py`) where it knows the card, else
of its maker's data sheet (accumulation in fp32), as are memory bandwidths and links. Memory is about what
torch reports as usable, which is a little less than the name says; none of it was measured here.
"""

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Gpu:
    """One GPU."""

    name: str
    memory: float  # bytes
    flops: float  # dense bfloat16 operations per second
    bandwidth: float  # bytes per second from its memory
    link: float  # bytes per second to another GPU of the node, one direction


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("B200", 178 * GIB, 2250e12, 8.0e12, 900e9),
        Gpu("H100", 79 * GIB, 989e12, 3.35e12, 450e9),
        Gpu("H800", 79 * GIB, 989e12, 3.35e12, 200e9),
        Gpu("H200", 139 * GIB, 989e12, 4.8e12, 450e9),
        Gpu("H20", 95 * GIB, 148e12, 4.0e12, 450e9),
        Gpu("A100-80GB", 79 * GIB, 312e12, 2.04e12, 300e9),
        Gpu("A100-40GB", 39 * GIB, 312e12, 1.56e12, 300e9),
        Gpu("A800", 79 * GIB, 312e12, 2.04e12, 200e9),
        Gpu("MI300X", 191 * GIB, 1307e12, 5.3e12, 448e9),
        Gpu("L40S", 44 * GIB, 362.05e12, 0.864e12, 32e9),
        Gpu("A40", 44 * GIB, 149.7e12, 0.696e12, 32e9),
        Gpu("RTX-5090", 31 * GIB, 209.5e12, 1.792e12, 64e9),
        Gpu("RTX-4090", 23.5 * GIB, 165.2e12, 1.008e12, 32e9),
        Gpu("RTX-3090", 23.5 * GIB, 71e12, 0.936e12, 32e9),
    )
}

HOST_LINK = 25e9
"""Bytes per second between a GPU and its host's pinned memory: what PCIe 4.0 x16 moves in practice, of 32e9."""

NODE_LINK = 50e9  # bytes per second and GPU between nodes: one 400 Gb/s port
