"""Makes one workload that the peers and the SDK both run: workload.py OUT [--size small|half-b] [--rows 64]

OUT/model: Hugging Face checkpoint with random weights and a byte-level BPE tokenizer with a ChatML template.
OUT/adapter: PEFT LoRA adapter (r 8, alpha 16, q_proj and k_proj) to start from, so that loss curves can be compared.
OUT/sft.jsonl: instruction, input, output. OUT/dpo.jsonl: instruction, input, output = [chosen, rejected], long prompts.
Text is recombined from testdata/data. Deterministic: seed 0.
"""
import argparse, json, os, random
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config

SIZES = {
    "small": dict(hidden_size=256, num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=2, intermediate_size=768, vocab_size=32000),
    "half-b": dict(hidden_size=896, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2, intermediate_size=4864, vocab_size=151936),
}
CHATML = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
          "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out")
    ap.add_argument("--size", choices=SIZES, default="small")
    ap.add_argument("--rows", type=int, default=64)
    a = ap.parse_args()
    random.seed(0)
    torch.manual_seed(0)
    here = os.path.dirname(os.path.abspath(__file__))
    read = lambda name: [json.loads(l) for l in open(os.path.join(here, "../../testdata/data", name), encoding="utf-8")]
    plain = {l["id"] for l in read("labels.jsonl") if l["kind"] == "plain" and l["lang"] in ("zh", "en")}
    texts = [d["text"] for d in read("docs.jsonl") if d["id"] in plain]

    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=8000, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
                                                       initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    fast = PreTrainedTokenizerFast(tokenizer_object=tok, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHATML)
    model = AutoModelForCausalLM.from_config(Qwen2Config(**SIZES[a.size], tie_word_embeddings=True, max_position_embeddings=4096,
                                                         eos_token_id=2, bos_token_id=None, pad_token_id=0))
    model.save_pretrained(f"{a.out}/model")
    fast.save_pretrained(f"{a.out}/model")
    get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "k_proj"], task_type="CAUSAL_LM")).save_pretrained(f"{a.out}/adapter")

    pool = tok.encode("\n".join(texts)).ids

    def words(n):  # text of about n tokens
        i = random.randrange(len(pool) - n)
        return tok.decode(pool[i:i + n]).replace("\ufffd", "")

    with open(f"{a.out}/sft.jsonl", "w", encoding="utf-8") as f:
        for _ in range(a.rows):
            r = dict(instruction=words(random.randint(60, 200)), input="", output=words(random.randint(20, 200)))
            f.write(json.dumps(r, ensure_ascii=False) + "\n")
    with open(f"{a.out}/dpo.jsonl", "w", encoding="utf-8") as f:
        for _ in range(a.rows):
            r = dict(instruction=words(random.randint(300, 600)), input="", output=[words(random.randint(30, 100)), words(random.randint(30, 100))])
            f.write(json.dumps(r, ensure_ascii=False) + "\n")


main()
