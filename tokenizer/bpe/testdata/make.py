"""Trains tokenizers with Hugging Face tokenizers and writes what they learned: make.py SAMPLE_DATA_FOLDER

The cases beside this file were made with tokenizers 0.23.3 from pt.jsonl of testdata/data.
"""

import json
import pathlib
import random
import sys

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
OTHERS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = {
    "qwen2": ENDINGS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + OTHERS,
    "llama3": ENDINGS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + OTHERS,
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def learn(texts, pattern, vocab_size, min_frequency):
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    cut = pre_tokenizers.Split(Regex(PATTERNS[pattern]), "isolated")
    tok.pre_tokenizer = pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return tok


def write(name, texts, pattern, vocab_size, min_frequency):
    tok = learn(texts, pattern, vocab_size, min_frequency)
    model = json.loads(tok.to_str())["model"]
    case = {
        "pattern": PATTERNS[pattern], "vocab_size": vocab_size, "min_frequency": min_frequency, "special": SPECIAL, "texts": texts,
        "tokens": sorted(model["vocab"], key=model["vocab"].get), "merges": model["merges"],
        "encoded": [tok.encode(t).ids for t in texts[:20]],
    }
    path = pathlib.Path(__file__).with_name(name + ".json")
    path.write_text(json.dumps(case, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    documents = [json.loads(line)["completion"] for line in open(sys.argv[1] + "/pt.jsonl", encoding="utf-8")][:120]
    write("documents_qwen2", documents, "qwen2", 800, 2)
    write("documents_gpt2", documents, "gpt2", 600, 5)
    dice = random.Random(1)
    # Two letters in long words: pairs overlap, and the same token comes about in several ways.
    letters = ["".join(dice.choice("aab") for _ in range(dice.randint(1, 40))) + dice.choice(" !1") for _ in range(100)]
    write("letters", letters, "qwen2", 500, 1)
    # Signs that the normalizer joins, line breaks, digits; more tokens asked for than there are pairs.
    signs = ["".join(dice.choice("abce\u0301\u00e9漢 \n\r1 ") for _ in range(dice.randint(1, 40))) for _ in range(100)]
    write("signs", signs, "llama3", 4000, 2)


main()
