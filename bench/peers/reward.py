"""Runs TRL's reward trainer on rankings of four and prints one JSON line: reward.py WORKLOAD [--steps 4] [--batch 2] [--tuned]

WORKLOAD is workload.py's. rm.jsonl (instruction, input, output = four answers, the best first), a sequence-classification checkpoint reward/
and an adapter reward_adapter/ to start from are made there, once. A ranking is six pairs, as users of TRL write it; batch counts rankings.
Times leave out the first step; --tuned keeps freed memory in the process (see trl_run.py).
"""
import argparse, itertools, json, os, resource, sys, tempfile, time

if "--tuned" in sys.argv and "MALLOC_TRIM_THRESHOLD_" not in os.environ:  # before torch allocates anything
    os.environ.update(MALLOC_MMAP_THRESHOLD_=str(1 << 35), MALLOC_TRIM_THRESHOLD_=str(1 << 35), MALLOC_TOP_PAD_=str(1 << 28))
    os.execv(sys.executable, [sys.executable] + sys.argv)

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from torch.utils.data import SequentialSampler
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
from trl import RewardConfig, RewardTrainer


def make(workload):
    rows = [json.loads(l) for l in open(f"{workload}/dpo.jsonl", encoding="utf-8")]
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(f"{workload}/model", num_labels=1, dtype=torch.float32)
    model.save_pretrained(f"{workload}/reward")
    AutoTokenizer.from_pretrained(f"{workload}/model").save_pretrained(f"{workload}/reward")
    get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "k_proj"], task_type="SEQ_CLS")).save_pretrained(f"{workload}/reward_adapter")
    with open(f"{workload}/rm.jsonl", "w", encoding="utf-8") as f:
        for a, b in zip(rows, rows[1:] + rows[:1]):
            f.write(json.dumps(dict(instruction=a["instruction"], input="", output=a["output"] + b["output"]), ensure_ascii=False) + "\n")


class Clock(TrainerCallback):
    def __init__(self):
        self.seconds, self.logs = [], []

    def on_step_begin(self, *a, **k):
        self.t = time.perf_counter()

    def on_step_end(self, *a, **k):
        self.seconds.append(time.perf_counter() - self.t)

    def on_log(self, args, state, control, logs=None, **k):
        if logs and "loss" in logs:
            self.logs.append({k: float(v) for k, v in logs.items() if k in ("loss", "grad_norm", "learning_rate")})


class InOrder(RewardTrainer):
    def _get_train_sampler(self, *a, **k):
        return SequentialSampler(self.train_dataset)


def main():
    start = time.perf_counter()
    ap = argparse.ArgumentParser()
    ap.add_argument("workload")
    ap.add_argument("--steps", type=int, default=4)
    ap.add_argument("--batch", type=int, default=2)
    ap.add_argument("--tuned", action="store_true")
    a = ap.parse_args()
    if not os.path.exists(f"{a.workload}/rm.jsonl"):
        make(a.workload)
    tok = AutoTokenizer.from_pretrained(f"{a.workload}/reward")
    model = AutoModelForSequenceClassification.from_pretrained(f"{a.workload}/reward", dtype=torch.float32)
    model = PeftModel.from_pretrained(model, f"{a.workload}/reward_adapter", is_trainable=True)
    pairs, tokens = [], 0
    for line in list(open(f"{a.workload}/rm.jsonl", encoding="utf-8"))[:a.steps * a.batch]:
        r = json.loads(line)
        prompt = tok.apply_chat_template([dict(role="user", content=r["instruction"])], tokenize=False, add_generation_prompt=True)
        p = tok(prompt, add_special_tokens=False).input_ids
        answers = [tok(o + "<|im_end|>", add_special_tokens=False).input_ids for o in r["output"]]
        tokens += len(p) + sum(map(len, answers))
        pairs += [dict(chosen_ids=p + c, rejected_ids=p + w) for c, w in itertools.combinations(answers, 2)]
    args = RewardConfig(output_dir=tempfile.mkdtemp(), per_device_train_batch_size=6 * a.batch, max_steps=a.steps, logging_steps=1, save_strategy="no",
                        report_to=[], use_cpu=True, bf16=False, fp16=False, gradient_checkpointing=False, max_length=2048, disable_tqdm=True,
                        lr_scheduler_type="constant", learning_rate=1e-4)
    trainer = InOrder(model=model, args=args, train_dataset=Dataset.from_list(pairs), processing_class=tok)
    clock = Clock()
    trainer.add_callback(clock)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    ready = time.perf_counter() - start
    trainer.train()
    per_step = sum(clock.seconds[1:]) / (a.steps - 1)
    print(json.dumps(dict(stage="rm", tuned=a.tuned, batch=a.batch, steps=a.steps, tokens_per_step=tokens / a.steps,
                          tokens_per_s=tokens / a.steps / per_step, rows_per_s=a.batch / per_step, seconds_to_first_step=ready + clock.seconds[0],
                          base_rss_gb=base, peak_rss_gb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, log=clock.logs)))


main()
