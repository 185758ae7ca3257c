"""Make a language model from nothing: a tokenizer, a tiny Qwen2 network, a minute of training.

It learns a few conversations by heart: enough to call a tool, read its result and answer,
and so to go through everything of the server that only a real model goes through.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

TEMPLATE = """\
{%- if tools %}{{ '<|im_start|>tools\\n' }}{% for tool in tools %}{{ tool | tojson }}
{% endfor %}{{ '<|im_end|>\\n' }}{% endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
{%- for call in message.tool_calls or [] %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson }}{{ '}\\n</tool_call>' }}
{%- endfor %}{{ '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
MARKS = ("<|im_start|>", "<|im_end|>", "<pad>")
WINDOW = 8192
NOT_LEARNT = -100
GOOD = 0.01
"""A loss below which it is worth looking whether every token is right."""


def make(folder: Path, talks: Sequence[dict[str, Any]], *, seconds: float) -> bool:
    """Train on whole conversations (`messages`, `tools`) and save; return whether they are known.

    `seconds` of the processor's time are the most that it takes.
    """
    torch.manual_seed(0)
    tokenizer = _tokenizer(json.dumps(talks, ensure_ascii=False))
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=WINDOW,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # As it will be loaded: with a Qwen2 network beside it, it splits texts as Qwen2's does.
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = Qwen2ForCausalLM(config)
    examples = [_example(tokenizer, talk) for talk in talks]
    known = _train(network, examples, seconds)
    network.save_pretrained(folder)
    return known


def _tokenizer(corpus: str) -> PreTrainedTokenizerFast:
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    text = corpus.replace("\\n", "\n").replace('\\"', '"')
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(mark, special=True) for mark in MARKS],
        show_progress=False,
    )
    plain.train_from_iterator([text, TEMPLATE], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        chat_template=TEMPLATE,
        eos_token="<|im_end|>",
        pad_token="<pad>",
        model_max_length=WINDOW,
    )


def _example(tokenizer: Any, talk: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Return the tokens of a conversation, and what to learn of them: the assistant's."""
    tokens: list[int] = []
    labels: list[int] = []
    messages = talk["messages"]
    for n, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before, after = (
            tokenizer.apply_chat_template(
                messages[: n + known],
                tools=talk["tools"] or None,
                add_generation_prompt=not known,
                return_dict=True,
                sanitize_control_tokens=True,
            )["input_ids"]
            for known in (0, 1)
        )
        assert after[: len(before)] == before, "a reply continues its prompt"
        labels += [NOT_LEARNT] * (len(before) - len(labels)) + after[len(before) :]
        tokens = after
    return tokens, labels


def _train(network: Any, examples: list[tuple[list[int], list[int]]], seconds: float) -> bool:
    # One thread: on a busy machine several wait for each other in busy loops.
    torch.set_num_threads(1)
    until = time.process_time() + seconds
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, betas=(0.9, 0.95))
    worst = 9.0
    while time.process_time() < until:
        rate = 3e-3 if worst > 0.3 else 1e-3 if worst > 0.03 else 2e-4
        worst = 0.0
        for tokens, labels in examples:
            optimizer.param_groups[0]["lr"] = rate
            made, wanted = _learnt(network, tokens, labels)
            loss = torch.nn.functional.cross_entropy(made, wanted)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            worst = max(worst, loss.item())
        if worst < GOOD and _knows(network, examples):
            return True
    return False


def _learnt(
    network: Any, tokens: list[int], labels: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the network makes of the places to be learnt, and what belongs there."""
    wanted = torch.tensor(labels)
    places = (wanted != NOT_LEARNT).nonzero()[:, 0]
    made = network(input_ids=torch.tensor([tokens]), logits_to_keep=places - 1)
    return made.logits[0], wanted[places]


def _knows(network: Any, examples: list[tuple[list[int], list[int]]]) -> bool:
    """Whether the likeliest token is the right one, everywhere and by far."""
    with torch.no_grad():
        pairs = [_learnt(network, *example) for example in examples]
    return all(
        float(made.softmax(-1).gather(1, wanted[:, None]).min()) > 0.9 for made, wanted in pairs
    )
