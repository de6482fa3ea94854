# examples/06_gpt2.cpp with transformers: the part that loads a folder and lets it write.
import sys

import torch
from transformers import AutoTokenizer, GPT2LMHeadModel, TextStreamer

folder = sys.argv[1]
prompt = sys.argv[2] if len(sys.argv) > 2 else "Once upon a time"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = GPT2LMHeadModel.from_pretrained(folder).eval()
inputs = tokenizer([prompt], return_tensors="pt")
options = {"max_new_tokens": 40, "pad_token_id": model.config.eos_token_id}

print("\n-- Greedy, shown as it comes: the likeliest token, again and again.")
model.generate(**inputs, do_sample=False, streamer=TextStreamer(tokenizer), **options)

print("\n-- Drawn from the likeliest tokens with a probability of 0.9 together.")
torch.manual_seed(5)
prompts = tokenizer([prompt] * 4, return_tensors="pt")
for ids in model.generate(**prompts, do_sample=True, top_p=0.9, top_k=0, **options):
    print(tokenizer.decode(ids, skip_special_tokens=True))

print("\n-- Beam search: the likeliest text as a whole.")
ids = model.generate(**inputs, do_sample=False, num_beams=3, **options)[0]
print(tokenizer.decode(ids, skip_special_tokens=True))
