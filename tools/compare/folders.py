"""One tokenizer or model, ours beside theirs."""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent.parent
# Of float32 results of a few layers, relative to the largest: sums in another order.
CLOSE = 2e-5


class Programs:
    """Our side: the programs of a build."""

    def __init__(self, build):
        self.outputs = build / "tests/folder_outputs"
        self.command = build / "ldlm"

    def tokenizer(self, path, texts):
        with tempfile.TemporaryDirectory() as folder:
            source, out = Path(folder) / "texts.json", Path(folder) / "out.json"
            source.write_text(json.dumps(texts), encoding="utf-8")
            self._run([self.outputs, "tokenizer", path, source, out])
            return json.loads(out.read_text(encoding="utf-8"))

    def model(self, path, inputs):
        with tempfile.TemporaryDirectory() as folder:
            source, out = Path(folder) / "in.safetensors", Path(folder) / "out.safetensors"
            save_file(inputs, source)
            self._run([self.outputs, "model", path, source, out])
            return load_file(out)

    def embed(self, path, texts):
        lines = self._run([self.command, "embed", "--model", path, *texts]).splitlines()
        return torch.tensor([json.loads(line)["values"] for line in lines])

    @staticmethod
    def _run(command):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError((done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1])
        return done.stdout


def both(ours, theirs):
    """(ours, theirs, None), or what is to be said if one of them fails."""
    mine = other = why = refusal = None
    try:
        mine = ours()
    except (RuntimeError, OSError) as error:
        why = str(error)
    try:
        other = theirs()
    except Exception as error:  # theirs raises whatever it likes
        refusal = f"{type(error).__name__}: {error}".split("\n")[0][:200]
    if why is None and refusal is None:
        return mine, other, None
    if why is not None and refusal is not None:
        return None, None, f"neither loads: {why}"
    return None, None, f"only theirs loads: {why}" if why is not None else f"only ours loads: {refusal}"


def their_tokenizer(path):
    """`tokenizers` for a file or folder with a tokenizer.json, `transformers` for other folders."""
    import tokenizers
    import transformers

    file = path if path.is_file() else path / "tokenizer.json"
    if file.exists():
        return tokenizers.Tokenizer.from_file(str(file))
    names = {p.name for p in path.iterdir()}
    kind = None
    if "config.json" not in names and "tokenizer_config.json" not in names:
        kind = transformers.BertTokenizerFast if "vocab.txt" in names else transformers.GPT2TokenizerFast
    loaded = (kind or transformers.AutoTokenizer).from_pretrained(str(path))
    return loaded.backend_tokenizer


def compare_tokenizer(programs, path, texts):
    def theirs():
        tokenizer = their_tokenizer(path)
        out = []
        for text in texts:
            try:
                encoding = tokenizer.encode(text)
                out.append({
                    "ids": encoding.ids, "offsets": [list(o) for o in encoding.offsets],
                    "plain": tokenizer.encode(text, add_special_tokens=False).ids,
                    "decoded": tokenizer.decode(encoding.ids, skip_special_tokens=False),
                    "decoded_skip": tokenizer.decode(encoding.ids, skip_special_tokens=True),
                })  # fmt: skip
            except Exception as error:
                out.append({"error": str(error)})
        return out

    ours, other, problem = both(lambda: programs.tokenizer(path, texts), theirs)
    if problem:
        return problem
    wrong = []
    for text, a, b in zip(texts, ours, other):
        if "error" in a and "error" in b:
            continue
        for key in b if "error" not in b else ["error"]:
            if a.get(key) != b.get(key):
                detail = a.get("error", a.get(key)) if "error" not in b else a
                wrong.append(f"{key} of {text[:40]!r}: ours {str(detail)[:160]}, theirs {str(b[key])[:160]}")
                break
    return f"same for {len(texts)} texts" if not wrong else f"differs in {len(wrong)} of {len(texts)}: {wrong[0]}"


def difference(a, b):
    """The largest difference, relative to the largest number."""
    if a.shape != b.shape:
        return float("inf")
    return float((a - b).abs().max() / max(float(b.abs().max()), 1e-30))


def their_model(path, inputs):
    import transformers

    transformers.utils.logging.disable_progress_bar()
    config = transformers.AutoConfig.from_pretrained(str(path))
    ids, mask = inputs["ids"], inputs["mask"]
    with torch.no_grad():
        base, info = transformers.AutoModel.from_pretrained(
            str(path), dtype=torch.float32, output_loading_info=True)  # fmt: skip
        out = base.eval()(ids, attention_mask=mask)
        results = {"hidden": out.last_hidden_state}
        # A pooler that the file lacks is made up.
        made_up = any("pooler" in key for key in info["missing_keys"])
        if getattr(out, "pooler_output", None) is not None and not made_up:
            results["pooled"] = out.pooler_output
        names = config.architectures or []
        if config.model_type == "gpt2" and (not names or "GPT2LMHeadModel" in names):
            head = transformers.GPT2LMHeadModel.from_pretrained(str(path), dtype=torch.float32).eval()
            results["logits"] = head(ids, attention_mask=mask).logits
        elif "BertForMaskedLM" in names:
            head = transformers.BertForMaskedLM.from_pretrained(str(path), dtype=torch.float32).eval()
            results["logits"] = head(ids, attention_mask=mask).logits
    return results


def compare_model(programs, path):
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    vocabulary = config.get("vocab_size", 100)
    length = min(17, config.get("max_position_embeddings", config.get("n_positions", 17)))
    generator = torch.Generator().manual_seed(7)
    ids = torch.randint(0, vocabulary, (3, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, length // 2 :] = 0
    mask[2, 1:] = 0
    inputs = {"ids": ids, "mask": mask}
    ours, theirs, problem = both(lambda: programs.model(path, inputs), lambda: their_model(path, inputs))
    if problem:
        return problem
    said, wrong = [], []
    for name in sorted(set(ours) & set(theirs)):
        real = mask.bool() if name != "pooled" else torch.ones(len(ids), dtype=torch.bool)
        off = difference(ours[name][real], theirs[name][real])
        (said if off <= CLOSE else wrong).append(f"{name} {off:.1e}")
    missing = set(theirs) - set(ours)
    if missing:
        wrong.append(f"ours gives no {', '.join(sorted(missing))}")
    return f"differs: {', '.join(wrong)}" if wrong else f"same: {', '.join(said)}"


def compare_embeddings(programs, path, texts):
    lines = [t for t in texts if t.strip() and t == " ".join(t.split()) and t.isprintable()]

    def theirs():
        from sentence_transformers import SentenceTransformer

        return torch.from_numpy(numpy.asarray(SentenceTransformer(str(path), device="cpu").encode(lines)))

    ours, other, problem = both(lambda: programs.embed(path, lines), theirs)
    if problem:
        return problem
    off = float((ours - other).abs().max()) if ours.shape == other.shape else float("inf")
    return f"{'same' if off <= 1e-5 else 'differs'}: {len(lines)} texts, largest difference {off:.1e}"
