"""ms-swift's JSON lines, in all their forms.

Source: https://github.com/modelscope/ms-swift (custom datasets). Licence: that of the data.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/**/*.json or *.jsonl; or one such file as --input

Raw rows:

    {"query": "55555", "response": "66666", "images": ["a.jpeg"]}
    {"query": "<img>a.jpeg</img>55555", "response": "66666"}
    {"messages": [{"role": "system", "content": "0"}, {"role": "user", "content": "1"},
                  {"role": "assistant", "content": "2"}], "images": ["a.jpeg"]}
    {"conversations": [{"from": "user", "value": "1"}, {"from": "assistant", "value": "2"}]}
    {"conversation": [{"human": "1", "assistant": "2"}]}
    {"instruction": "1", "input": "2", "output": "3"}

What each field becomes: the first question and answer; `images` or the `<img>` tags the pictures; system prompts are
left out, since the prompt template takes their place. The reward is the one that fits the answer
(`mixed_r1_verl.data.chat.infer_reward`).

Quirks: pictures are often URLs, which are never fetched (rejected; download them into the image root); records with a
`history` ask the last of several questions and are rejected; pre-training records have a response only.
"""

from mixed_r1_verl.data import Converter
from mixed_r1_verl.data.chat import chat_rows, convert_chat

CONVERTERS = (
    Converter(
        "ms_swift",
        chat_rows,
        convert_chat,
        ("train", "val", "test"),
        "that of the data",
        "https://github.com/modelscope/ms-swift",
    ),
)
