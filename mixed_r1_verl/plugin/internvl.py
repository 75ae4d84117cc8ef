"""InternVL in Hugging Face format through verl.

Two things stand in the way. `verl.utils.hf_processor` knows a fixed list of processor classes and answers None for
InternVL's. And after generation verl decodes the prompt without special tokens, which removes the image placeholders,
and calls the processor again for the pixel values; InternVL's processor counts placeholders and raises.

InternVL numbers its positions in one dimension, so nothing of the rotary embedding has to be bound to the processor.
"""

from collections.abc import Callable
from typing import Any


def load_processor(hf_processor: Callable[..., Any], instance: None, args: Any, kwargs: Any) -> Any:
    """Around verl's `hf_processor`: InternVL's processor, able to cope with stripped prompts; any other as before."""
    return load_internvl_processor(*args, **kwargs) or hf_processor(*args, **kwargs)


def load_internvl_processor(name_or_path: str, **kwargs: Any) -> Any | None:
    """The processor of an InternVL checkpoint in Hugging Face format; None for every other checkpoint."""
    from transformers import AutoConfig, AutoProcessor, PretrainedConfig

    try:
        content, _ = PretrainedConfig.get_config_dict(name_or_path, **kwargs)  # one small file, for every model
    except (OSError, ValueError):
        return None  # verl's own loader says what is wrong with the path
    if content.get("model_type") != "internvl":
        return None
    processor = restore_placeholders(AutoProcessor.from_pretrained(name_or_path, **kwargs))
    processor.config = AutoConfig.from_pretrained(name_or_path, **kwargs)
    return processor


def restore_placeholders(processor: Any) -> Any:
    """The processor itself, of a class that puts back the image placeholders which a prompt has lost."""
    processor.__class__ = _restoring_placeholders(type(processor))
    return processor


def _restoring_placeholders(processor_class: type[Any]) -> type[Any]:
    """Only pixel values are taken from such a call, and their order is that of the images, so where in the text the
    placeholders stand does not matter.
    """

    def call(self: Any, images: Any = None, text: Any = None, **kwargs: Any) -> Any:
        if images is not None and isinstance(text, list) and len(text) == 1:
            missing = len(images) - text[0].count(self.image_token)
            text = [self.image_token * missing + text[0]]
        return processor_class.__call__(self, images=images, text=text, **kwargs)

    def reduce(self: Any) -> Any:  # the class is nowhere to be found by its name
        plain: Any = object.__new__(processor_class)
        plain.__dict__.update(self.__dict__)
        return restore_placeholders, (plain,)

    return type(processor_class.__name__, (processor_class,), {"__call__": call, "__reduce__": reduce})
