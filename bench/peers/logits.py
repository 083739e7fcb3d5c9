"""Logits of transformers and PEFT on checkpoints and adapters saved by the SDK: logits.py CASES.json

CASES.json is a list of {"model": folder, "adapter": folder or "", "ids": [...]}. Prints, per case, one JSON line of its logits, row by row.
"""
import json, sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

for case in json.load(open(sys.argv[1])):
    model = AutoModelForCausalLM.from_pretrained(case["model"], dtype=torch.float32)
    if case["adapter"]:
        model = PeftModel.from_pretrained(model, case["adapter"])
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.tensor([case["ids"]])).logits[0]
    print(json.dumps(logits.flatten().tolist()))
