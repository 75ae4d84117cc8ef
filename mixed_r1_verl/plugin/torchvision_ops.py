"""The name under which `.pth` files of earlier versions know `plugin.cpu.torchvision_ops`."""

from mixed_r1_verl.plugin.cpu.torchvision_ops import install, watch

__all__ = ["install", "watch"]
