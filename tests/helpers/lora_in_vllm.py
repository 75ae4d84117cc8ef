"""Prints, as JSON, what transformers and vLLM answer with the same LoRA adapter, given to vLLM as verl gives it.

`python lora_in_vllm.py MODEL_DIR MODULES_LEFT_ALONE`; vLLM takes over much of the process that it runs in.
"""

import json
import os
import sys

os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_KVCACHE_SPACE="1", VLLM_CPU_OMP_THREADS_BIND="nobind")

import torch
import verl  # noqa: F401  (loads the plugin)
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import AutoModelForImageTextToText, AutoProcessor
from verl.utils.vllm import TensorLoRARequest, VLLMHijack
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest

from examples.demo.scenes import make_scene

TOKENS = 12

folder, left_alone = sys.argv[1:]
picture = make_scene("iou", 1).picture.render()
processor = AutoProcessor.from_pretrained(folder)
content = [{"type": "image"}, {"type": "text", "text": "Where is the red circle?"}]
chat = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)

config = LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear", exclude_modules=left_alone)
model = get_peft_model(AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32), config)
torch.manual_seed(0)
for name, parameter in model.named_parameters():
    if "lora_" in name:
        parameter.data.normal_(0, 0.1)
inputs = processor(text=[chat], images=[picture], return_tensors="pt")
generated = model.generate(
    **inputs, max_new_tokens=TOKENS, do_sample=False, output_scores=True, return_dict_in_generate=True
)
tokens = generated.sequences[0, inputs["input_ids"].shape[1] :].tolist()
scores = [float(torch.log_softmax(s[0], -1)[t]) for s, t in zip(generated.scores, tokens, strict=True)]

VLLMHijack.hijack()
llm = LLM(model=folder, dtype="float32", enforce_eager=True, max_model_len=512, enable_lora=True, max_lora_rank=8)
prompt = {"prompt_token_ids": processor.tokenizer(chat)["input_ids"], "multi_modal_data": {"image": picture}}
sampling = SamplingParams(temperature=0, max_tokens=TOKENS, logprobs=1)
plain = llm.generate([prompt], sampling)[0].outputs[0]
adapter = TensorLoRARequest(
    lora_name="1",
    lora_int_id=1,
    lora_path="none",
    peft_config=model.peft_config["default"].to_dict(),
    lora_tensors={name: tensor.clone() for name, tensor in get_peft_model_state_dict(model).items()},
)
llm.llm_engine.add_lora(adapter)
adapted = llm.generate([prompt], sampling, lora_request=LoRARequest("1", 1, "none"))[0].outputs[0]
theirs = [next(iter(logprobs.values())).logprob for logprobs in adapted.logprobs]
print(
    json.dumps(
        {
            "transformers": tokens,
            "vllm": list(adapted.token_ids),
            "vllm without adapter": list(plain.token_ids),
            "largest difference of log-probabilities": max(abs(a - b) for a, b in zip(scores, theirs, strict=True)),
        }
    )
)
