# examples/05_bert.cpp with sentence-transformers.
import sys

import torch
from sentence_transformers import SentenceTransformer
from torch.nn import functional as F

sentences = [
    "A man is playing a guitar.", "Someone makes music on an instrument.",
    "The stock market fell sharply.", "Share prices dropped on Monday.",
    "Two dogs run through a wet field.", "The animals race over the grass.",
]

encoder = SentenceTransformer(sys.argv[1], device="cpu")
vectors = F.normalize(encoder.encode(sentences, batch_size=4, convert_to_tensor=True))
for row, sentence in zip(vectors @ vectors.T, sentences):
    print("".join(f"{similarity:6.2f}" for similarity in row), " ", sentence)

with torch.no_grad():
    batch = encoder.tokenizer(sentences, padding=True, return_tensors="pt")
    states = encoder[0].auto_model(**batch).last_hidden_state
print("the states of a batch:", tuple(states.shape))

alone = F.normalize(encoder.encode(sentences[:1], convert_to_tensor=True))
difference = (alone - vectors[:1]).abs().max()
print(f"largest difference between a sentence embedded alone and in the batch: {difference:.2e}")
assert difference < 1e-4
