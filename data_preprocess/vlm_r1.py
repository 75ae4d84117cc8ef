"""VLM-R1's JSON lines: `conversations` about one picture or several.

Source: https://github.com/om-ai-lab/VLM-R1 (`src/open-r1-multimodal/data_jsonl`). Licence: Apache-2.0.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/**/*.jsonl; or one such file as --input

Raw row:

    {"id": 11, "image": ["GOOGLE_APPS-…_1.png", "GOOGLE_APPS-…_3.png"],
     "conversations": [{"from": "human", "value": "You are tasked with identifying any UI Interaction Defects …"},
                       {"from": "gpt", "value": "Operation No Response"}]}

What each field becomes: the human's text the question (its `<image>` markers, where it has any, go), the model's the
answer; the reward is the one that fits it (`mixed_r1_verl.data.chat.infer_reward`): a phrase is matched, boxes are
`iou`, a sentence is `open_ended`. The place in the file is the id, since `id` is not unique over files.
"""

from mixed_r1_verl.data import Converter
from mixed_r1_verl.data.chat import chat_rows, convert_chat

CONVERTERS = (
    Converter(
        "vlm_r1",
        chat_rows,
        convert_chat,
        ("train", "val", "test"),
        "Apache-2.0",
        "https://github.com/om-ai-lab/VLM-R1",
    ),
)
