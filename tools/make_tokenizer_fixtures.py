#!/usr/bin/env python3
"""Writes the fixtures of the tokenizer tests to tests/golden/tokenizers.

  bpe.json, wordpiece.json   small tokenizers, trained on text.txt and generated texts
  parity.json                hashes of what Hugging Face's `tokenizers` makes of the 20,000 generated
                             texts, of text.txt and, with --shared, of WikiText's test split
  cases.json                 some hundreds of hard texts in full
  scenarios.json             added tokens, templates, truncation, padding, ... in full

usage: python tools/make_tokenizer_fixtures.py [--shared FOLDER]

FOLDER holds tokenizers/gpt2, tokenizers/bert-base-uncased and data/wikitext/wiki.test.raw. Without it
what the present fixtures say about the published vocabularies is kept. Takes some minutes.
"""
import argparse
import collections
import json
import pathlib

from generated_texts import Fnv, generated_text
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/tokenizers"
TEXTS, BLOCK, TRAINED = 20000, 500, 2000


def as_seen(data):
    """Bytes as the tokenizer sees them."""
    return data.decode("utf-8", errors="replace")


def own_lines():
    return (GOLDEN / "text.txt").read_text(encoding="utf-8").split("\n")[:-1]


def training_texts():
    return own_lines() + [as_seen(generated_text(i)) for i in range(TRAINED)]


# ---- the small tokenizers ----------------------------------------------------------------------


def train_bpe():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1500, min_frequency=2, special_tokens=["<|endoftext|>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(training_texts(), trainer)
    return tokenizer


def reference_wordpiece_pieces(words, specials, limit_alphabet, vocab_size, min_frequency):
    """What a WordPiece trainer learns, by the book: Hugging Face's breaks ties at random."""
    characters = collections.Counter()
    for word, count in words.items():
        for c in word:
            characters[c] += count
    alphabet = sorted(sorted(characters, key=lambda c: (-characters[c], c))[:limit_alphabet])
    ids = {piece: i for i, piece in enumerate(specials)}
    for c in alphabet:
        ids.setdefault(c, len(ids))
    pieces = list(ids)
    split, counts, holders = [], collections.Counter(), collections.defaultdict(set)
    for word in sorted(words, key=lambda w: w.encode()):
        symbols = [c if i == 0 else "##" + c for i, c in enumerate(word) if c in characters and c in ids]
        for s in symbols:
            if s not in ids:
                ids[s] = len(ids)
                pieces.append(s)
        split.append(([ids[s] for s in symbols], words[word]))
    for i, (symbols, count) in enumerate(split):
        for pair in zip(symbols, symbols[1:]):
            counts[pair] += count
            holders[pair].add(i)
    while len(ids) < vocab_size:
        pair = min(counts, key=lambda p: (-counts[p], p))
        if counts[pair] < min_frequency:
            break
        merged = pieces[pair[0]] + pieces[pair[1]].removeprefix("##")
        if merged not in ids:
            ids[merged] = len(ids)
            pieces.append(merged)
        for i in sorted(holders[pair]):
            symbols, count = split[i]
            for p in zip(symbols, symbols[1:]):
                counts[p] -= count
            joined, k = [], 0
            while k < len(symbols):
                if tuple(symbols[k : k + 2]) == pair:
                    joined.append(ids[merged])
                    k += 2
                else:
                    joined.append(symbols[k])
                    k += 1
            split[i] = (joined, count)
            for p in zip(joined, joined[1:]):
                counts[p] += count
                holders[p].add(i)
        del counts[pair]
    return ids


def train_wordpiece():
    normalizer = normalizers.BertNormalizer(lowercase=False)
    splitter = pre_tokenizers.BertPreTokenizer()
    words = collections.Counter()
    for text in training_texts():
        words.update(w for w, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    ids = reference_wordpiece_pieces(words, specials, 300, 1500, 2)
    return bert(ids, normalizer)


def bert(ids, normalizer):
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([t for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if t in ids])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(t, ids[t]) for t in ("[CLS]", "[SEP]")])
    return tokenizer


def published(folder):
    gpt2 = Tokenizer(models.BPE.from_file(str(folder / "gpt2/vocab.json"), str(folder / "gpt2/merges.txt")))
    gpt2.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    gpt2.decoder = decoders.ByteLevel()
    gpt2.post_processor = processors.ByteLevel(trim_offsets=False)
    gpt2.add_special_tokens(["<|endoftext|>"])
    vocab = models.WordPiece.read_file(str(folder / "bert-base-uncased/vocab.txt"))
    return {
        "gpt2": gpt2,
        "bert_uncased": bert(vocab, normalizers.BertNormalizer()),
        "bert_cased": bert(vocab, normalizers.BertNormalizer(lowercase=False)),
    }


def uncased(tokenizer):
    other = Tokenizer.from_str(tokenizer.to_str())
    other.normalizer = normalizers.BertNormalizer()
    return other


# ---- hashes of the bulk ------------------------------------------------------------------------


def block_hash(tokenizer, texts):
    """Hashes of ids, offsets and decoded texts of a block."""
    ids, offsets, decoded = Fnv(), Fnv(), Fnv()
    for text in texts:
        encoding = tokenizer.encode(text)
        ids.numbers(encoding.ids)
        ids.numbers([len(encoding.ids)])
        offsets.numbers(x for pair in encoding.offsets for x in pair)
        decoded.string(tokenizer.decode(encoding.ids))
    return [ids.hex(), offsets.hex(), decoded.hex()]


def parity(tokenizer, wiki):
    generated = [as_seen(generated_text(i)) for i in range(TEXTS)]
    result = {"generated": [block_hash(tokenizer, generated[i : i + BLOCK]) for i in range(0, TEXTS, BLOCK)],
              "text": block_hash(tokenizer, own_lines())}
    if wiki:
        lines = wiki.split("\n")
        result["wiki_lines"] = block_hash(tokenizer, lines)
        result["wiki_whole"] = block_hash(tokenizer, [wiki])
    return result


# ---- hard cases --------------------------------------------------------------------------------

HARD = [
    b"", b" ", b"  ", b"\n", b"\r\n", b"\t", b" \n", b"\n ", b"a", b" a", b"a ", b"  a", b"a  ", b"a  b", b"a   b",
    b"a\n\nb", b"a \n b", b"a\t\tb", "a\u00a0b".encode(), "a\u3000\u3000b".encode(), "\u2028x\u2029".encode(),
    b"I'm he's we're they've don't she'll I'd", b"I'M HE'S WE'RE", b"'s's's", b"''''", b"'", b"' s", b"'sx", b"'re'r'ree",
    b"it's'", b"can't've", b" 'tis", b"x'", b"x''s", b"1's", "it\u2019s".encode(), b"'LL 'll 'lL",
    b"123", b"1234567890", b"1 2 3", b"3.14", b"-1", b"1e10", b"a1b2c3", b"1,000,000", "\u00b2\u00b3\u00bc".encode(),
    "\u2167\u0664\u0967".encode(), "x\u00b2+y\u00b2".encode(), b"2024-02-29T23:59:59Z", b"$9.99", b"50%",
    b"hello world", b"Hello World", b"HELLO WORLD", b"hello, world!", b"hello...world", b"(hello)", b"[hello]", b"{hello}",
    b"http://www.example.org/a?b=c&d=e#f", b"user@example.org", b"C:\\Windows\\System32", b"/usr/bin/env",
    b"foo_bar", b"fooBar", b"foo-bar", b"#include <vector>", b"x = y + z;", b"a/b", b"<b>bold</b>", b"\\n\\t",
    b"!!!", b"...", b"?!?!", b"---", b"***", b"@#$%^&*", b"~`|\\", b"\"quoted\"", "\u201cquoted\u201d".encode(), "\u2026".encode(),
    "na\u00efve caf\u00e9".encode(), "nai\u0308ve cafe\u0301".encode(), "\u00c5ngstr\u00f6m \u212b A\u030a".encode(),
    "stra\u00dfe STRASSE \u1e9e".encode(), "\u0130stanbul \u0131l\u0131k".encode(), "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2 \u03a3\u0399\u03a3\u03a5\u03a6\u039f\u03a3".encode(),
    "\ufb01nd \ufb02y \ufb03".encode(), "\u01c4\u01c5\u01c6".encode(), "\u1fee\u0345\u0344".encode(), "q\u0307\u0323 q\u0323\u0307".encode(),
    "a\u0301\u0300\u0323b".encode(), "\u0301abc".encode(), " \u0301x".encode(), "\u0301".encode(), "\u0f73\u0f81".encode(), "\u1100\u1161\u11a8".encode(),
    "\uac00\uac01 \ud55c\uad6d\uc5b4".encode(), "\u6771\u4eac\u90fd".encode(), "\u6771 \u4eac".encode(), "a\u6771b".encode(), "\u6771.\u4eac".encode(),
    "\u3042\u30a2\u4e9c".encode(), "\u304c\u304b\u3099".encode(), "\u3001\u3002".encode(), "\uff21\uff11\uff01".encode(), "\u2f00\u2e80".encode(),
    "\U00020000\U0002a6df\U0002a700\U0002b820\U0002b920\U0002ceaf\U0002ceb0\U0002f800".encode(), "\uf900\ufa2e".encode(), "\u3400\u4dbf\u4dc0".encode(),
    "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd".encode(), "\u0627\u0644\u0633\u0651\u0644\u0627\u0645\u064f".encode(), "\u200fabc\u200e".encode(), "\u202eabc\u202c".encode(),
    "\u0928\u092e\u0938\u094d\u0924\u0947".encode(), "\u0958\u0915\u093c".encode(), "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35".encode(), "\u0ba8\u0bbf".encode(), "\u1019\u103c".encode(),
    "\U0001f600".encode(), "\U0001f600\U0001f600".encode(), "a\U0001f600b".encode(), "\U0001f468\u200d\U0001f469\u200d\U0001f467".encode(), "\U0001f44d\U0001f3fd".encode(),
    "\U0001f1e9\U0001f1ea".encode(), "\u2764\ufe0f".encode(), "1\ufe0f\u20e3".encode(), "\U0001f3f4\U000e0067\U000e0062\U000e007f".encode(),
    b"\x00", b"a\x00b", b"\x01\x02\x03", b"a\x07b", b"\x1b[31mred\x1b[0m", b"a\x7fb", b"\x0b\x0c", b"a\x0bb", "a\u0085b".encode(), "a\u200bb".encode(),
    "a\u00adb".encode(), "\ufeffabc".encode(), "a\u2060b".encode(), "\ufff9x\ufffb".encode(), "\ue000".encode(), "\U000f0000".encode(), "\u0378".encode(), "\ufffe\uffff".encode(),
    b"\x80", b"\xff\xfe", b"a\xc3", b"\xc3\x28", b"\xe2\x82", b"\xe2\x28\xa1", b"\xf0\x9f\x98", b"\xf0\x28\x8c\xbc", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"ok\xf8\x88ok",
    "\ufffd".encode(), "a\ufffdb".encode(),
    b"<|endoftext|>", b"a<|endoftext|>b", b"<|endoftext|><|endoftext|>", b" <|endoftext|> ", b"<|endoftext|", b"<|ENDOFTEXT|>", b"<pad>", b"x<pad>y",
    b"[CLS]", b"[SEP]", b"[MASK]", b"a [MASK] b", b"a[MASK]b", b"[mask]", b"[ MASK ]", b"[UNK]", b"[PAD]", b"[MASK][MASK]", b"[MAS", b"[CLS] a [SEP]", b"##ing", b"## ing", b"#", b"[unused1]",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", b"abababababababababababababababab", b"a" * 99, b"a" * 100, b"a" * 101, b"a" * 130, "\u00e9".encode() * 100,
    "\u00e9".encode() * 101, b"antidisestablishmentarianism", b"Donaudampfschifffahrtsgesellschaft", b"pneumonoultramicroscopicsilicovolcanoconiosis",
    b" " * 3, b" " * 16, b" " * 17 + b"x", b"x" + b" " * 17, b"\n" * 5, b"\n" * 5 + b"x", b" \n \n x", b"\t \t x", b"x \xc2\xa0y", b"x\xc2\xa0 y", b"a \xe3\x80\x80 b",
    b"\xe2\x80\x8ba \xe2\x80\x8b", b" .", b"a .", b"a , b", b"do not", b"I do n't", b"it 's", b"they 're", b"he said ' no '", b"a.b.c", b"A.B.", b"e.g.",
    "\u0378\u0379 \u0530".encode(), "\u1c89\u1c8a\ua7cb".encode(), "\u061d\u2e52\u2e5d\u09fd".encode(), "\u1734\u0897\u1acf".encode(), "\U00011938".encode(), "\u302e\u1d165".encode() + "\U0001d15e".encode(),
    "\u2160\u24b6\u24d0".encode(), "\u10a0\u2d00\u13a0\uab70".encode(), "\u1e9e\u0149\u1f88".encode(), "\u0390\u1f56".encode(), "\u0345\u0399".encode(), "a\u034fb".encode(), "x\u20d7\u20db".encode(),
]


def case(tokenizer, data):
    encoding = tokenizer.encode(as_seen(data))
    return {"ids": encoding.ids, "offsets": [x for o in encoding.offsets for x in o],
            "decoded": tokenizer.decode(encoding.ids)}


# ---- scenarios ---------------------------------------------------------------------------------


def words(encoding):
    return [-1 if w is None else w for w in encoding.word_ids]


def full_encoding(e, is_part=False):
    """All fields; masks and types that say nothing are left out.

    Hugging Face repeats some overflowing parts of pairs inside other parts; ours hold none."""
    out = {"ids": e.ids, "tokens": e.tokens, "offsets": [x for o in e.offsets for x in o], "words": words(e)}
    if any(e.type_ids):
        out["type_ids"] = e.type_ids
    if any(e.special_tokens_mask):
        out["special_tokens_mask"] = e.special_tokens_mask
    if not all(e.attention_mask):
        out["attention_mask"] = e.attention_mask
    if e.overflowing and not is_part:
        out["overflowing"] = [full_encoding(o, True) for o in e.overflowing]
    return out


PROSE = "The harbour master kept three clocks, and none of them agreed."
NETS = "Nets are like children: you mend them."
MARKED = "  Caf\u00e9 <mask>  harbour Harbour<mask>HARBOUR x<mask> \u00c5\u030ab  <x>  <x> y<x>y harbourmaster"


REORDERED = ["\u212b\u302e\u0341x", "\u1fee\u00df\u0345 \u212b\u0f73\u0341<", "\u0130\u0327\u0323\u03a3<\U00011938<", "e\u0f73\u0323\u0301\u0f73"]


def scenario_list(bases):
    """(name, base, change of the tokenizer, inputs, add_special_tokens); a batch is a list of inputs."""
    bpe, wordpiece = "bpe", "wordpiece"
    plain = [PROSE, "", " ", "a", " leading", "two  spaces ", "\u6771\u4eac caf\u00e9", "\n x", "don't <|endoftext|> stop"]

    def added(*tokens):
        return lambda t: t.add_tokens(list(tokens))

    def post(processor):
        return lambda t: setattr(t, "post_processor", processor)

    def both(*changes):
        return lambda t: [change(t) for change in changes]

    def pre(**options):
        return lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.ByteLevel(**options))

    def normalizer(n):
        return lambda t: setattr(t, "normalizer", n)

    pairs = [(PROSE, NETS), (NETS, PROSE), ("", "b"), ("a", ""), ("", ""), ("short", PROSE + " " + NETS)]
    eot = bases[bpe].token_to_id("<|endoftext|>")
    template = processors.TemplateProcessing(
        single="<|endoftext|> $A <|endoftext|>:2", pair="<|endoftext|> $A:3 <|endoftext|> $B:4 <|endoftext|>",
        special_tokens=[("<|endoftext|>", eot)])
    cls, sep = (("[CLS]", bases[wordpiece].token_to_id("[CLS]")), ("[SEP]", bases[wordpiece].token_to_id("[SEP]")))
    yield "prefix space", bpe, pre(add_prefix_space=True), plain, True
    yield "trim offsets", bpe, post(processors.ByteLevel(trim_offsets=True, add_prefix_space=False)), plain + pairs, True
    yield "prefix space and trim offsets", bpe, both(
        pre(add_prefix_space=True), post(processors.ByteLevel(trim_offsets=True, add_prefix_space=True))), plain, True
    yield "no regex", bpe, pre(add_prefix_space=False, use_regex=False), plain, True
    yield "BPE pairs", bpe, lambda t: None, pairs, True
    yield "template", bpe, post(template), plain + pairs, True
    yield "template left out", bpe, post(template), [PROSE, (PROSE, NETS)], False
    yield "trim, then template", bpe, post(processors.Sequence([processors.ByteLevel(trim_offsets=True), template])), plain + pairs, True
    yield "RoBERTa", bpe, both(pre(add_prefix_space=True), post(processors.RobertaProcessing(
        ("<pad>", bases[bpe].token_to_id("<pad>")), ("<|endoftext|>", eot)))), plain + pairs, True
    for base in (bpe, wordpiece):
        yield "added, raw", base, added(AddedToken("<mask>", normalized=False)), [MARKED], True
        yield "added, lstrip", base, added(AddedToken("<mask>", lstrip=True, normalized=False)), [MARKED], True
        yield "added, rstrip", base, added(AddedToken("<x>", rstrip=True, normalized=False)), [MARKED], True
        yield "added, both strips", base, added(AddedToken("<x>", rstrip=True, lstrip=True), AddedToken("<mask>", rstrip=True, lstrip=True)), [MARKED, "<x> <x>  <mask>", " <x> "], True
        yield "added, single word", base, added(AddedToken("harbour", single_word=True), AddedToken("\u00e9", single_word=True)), [MARKED, "harbour", "harbour_", "_harbour", "harbour.", "\u00e9harbour\u0301", "harbour1"], True
        yield "added, overlapping", base, added("ab", "abc", "bcd", "abcdef"), ["abcd", "abcde", "abcdef", "xabcabx", "aabbcc", "bcdabc"], True
        yield "added, special", base, lambda t: t.add_special_tokens(["<mask>", AddedToken("Harbour", special=True, normalized=True)]), [MARKED], True
        yield "added, with spaces", base, added(AddedToken(" and ", normalized=False), "two words"), ["this and that", "two words two  words", " and  and "], True
        yield "added after a space that went", base, added(AddedToken("<x>", rstrip=True, normalized=False), AddedToken(" y", normalized=False)), ["a<x> y", "a<x>  y y"], True
        for direction in ("right", "left"):
            for stride in (0, 2):
                yield f"truncation {direction}, stride {stride}", base, lambda t, d=direction, s=stride: t.enable_truncation(9, stride=s, direction=d), [PROSE, "a", ""], True
        for strategy in ("longest_first", "only_first", "only_second"):
            inputs = {"longest_first": [("one two three four", NETS), ("a b c d e f g h", "x y"), ("a b c d e f g h i", "1 2 3 4 5 6 7 8"), ("a", "b"), ("", NETS)], "only_first": [(PROSE, "a b"), (PROSE, "")], "only_second": [("a b", PROSE), ("", PROSE)]}[strategy]
            yield f"truncation {strategy}", base, lambda t, s=strategy: t.enable_truncation(12, strategy=s), inputs, True
            yield f"truncation {strategy}, stride", base, lambda t, s=strategy: t.enable_truncation(12, strategy=s, stride=1), inputs, True
        yield "truncation to nothing", base, lambda t: t.enable_truncation(3), [("a b c", "d e f"), PROSE], True
        batch = [PROSE, "a", "", NETS]
        yield "padding", base, lambda t: t.enable_padding(pad_id=1, pad_token="<pad>"), [batch, [""], ["a"]], True
        yield "padding left", base, lambda t: t.enable_padding(direction="left", pad_id=3, pad_type_id=7, pad_token="?"), [batch], True
        yield "padding to a length", base, lambda t: t.enable_padding(length=16), [batch, "a"], True
        yield "padding to a multiple", base, lambda t: t.enable_padding(pad_to_multiple_of=8), [batch, "a", ""], True
        yield "truncation and padding", base, both(lambda t: t.enable_truncation(10, stride=1), lambda t: t.enable_padding(length=12)), [batch, PROSE], True
        for name, n in (("NFC", normalizers.NFC()), ("NFD", normalizers.NFD()), ("lower case", normalizers.Lowercase()),
                        ("NFD, then lower case", normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()]))):
            yield name, base, normalizer(n), [as_seen(d) for d in HARD[83:150:4]] + [MARKED, "\u00c9\u0130<|endoftext|>\u00c9", *REORDERED], True
        yield "normalized added tokens", base, both(normalizer(normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])), added("Caf\u00e9", "HARBOUR", AddedToken("X<mask>", normalized=False))), [MARKED, "cafe\u0301 CAFE\u0301"], True
    yield "BERT pairs", wordpiece, lambda t: None, pairs, True
    yield "BERT without special tokens", wordpiece, lambda t: None, [PROSE, (PROSE, NETS)], False
    yield "BertProcessing", wordpiece, post(processors.BertProcessing(sep, cls)), [PROSE, ""] + pairs, True
    for clean in (True, False):
        for chinese in (True, False):
            for accents in (None, True, False):
                for lower in (True, False):
                    if (clean, chinese).count(False) < 2:
                        yield f"BertNormalizer {clean} {chinese} {accents} {lower}", wordpiece, normalizer(normalizers.BertNormalizer(clean, chinese, accents, lower)), [as_seen(d) for d in HARD[84:160:5]], True
    yield "no clean-up", wordpiece, lambda t: setattr(t, "decoder", decoders.WordPiece(cleanup=False)), ["he said, don't! it 's ok. (a . b) ' x '"], True
    yield "clean-up", wordpiece, lambda t: None, ["he said, don't! it 's ok. (a . b) ' x ' do not n't"], True


def scenarios(bases):
    out = []
    for name, base, change, inputs, add_special in scenario_list(bases):
        tokenizer = Tokenizer.from_str(bases[base].to_str())
        change(tokenizer)
        before, after = json.loads(bases[base].to_str()), json.loads(tokenizer.to_str())
        sections = {key: after[key] for key in after if after[key] != before[key]}
        assert "model" not in sections
        results = []
        for item in inputs:
            if isinstance(item, list):
                encodings = tokenizer.encode_batch(item, add_special_tokens=add_special)
            else:
                pair = item if isinstance(item, tuple) else (item,)
                encodings = [tokenizer.encode(*pair, add_special_tokens=add_special)]
            results.append({"input": item, "encodings": [full_encoding(e) for e in encodings],
                            "decoded": [tokenizer.decode(e.ids) for e in encodings],
                            "decoded_all": [tokenizer.decode(e.ids, skip_special_tokens=False) for e in encodings]})
        out.append({"name": name, "base": base, "sections": sections, "add_special_tokens": add_special, "results": results})
    return out


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def write(name, value):
    with open(GOLDEN / name, "w", encoding="utf-8") as file:
        if isinstance(value, dict):
            items = ",\n".join(f"{json.dumps(k)}:{compact(v)}" for k, v in value.items())
            file.write("{" + items + "}\n")
        else:
            file.write("[" + ",\n".join(compact(v) for v in value) + "]\n")
    print(name, (GOLDEN / name).stat().st_size, "bytes")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--shared", type=pathlib.Path)
    shared = arguments.parse_args().shared

    bases = {"bpe": train_bpe(), "wordpiece": train_wordpiece()}
    for name, tokenizer in bases.items():
        (GOLDEN / f"{name}.json").write_text(compact(json.loads(tokenizer.to_str())) + "\n")
        print(name, tokenizer.get_vocab_size(), "pieces")
    small = {"bpe": bases["bpe"], "wordpiece": bases["wordpiece"], "wordpiece_uncased": uncased(bases["wordpiece"])}
    large = published(shared / "tokenizers") if shared else {}

    hashes = {} if shared else json.loads((GOLDEN / "parity.json").read_text())
    hashes.update({name: parity(t, None) for name, t in small.items()})
    if shared:
        with open(shared / "data/wikitext/wiki.test.raw", encoding="utf-8", newline="") as file:
            wiki = file.read()
        hashes.update({name: parity(t, wiki) for name, t in large.items()})
    write("parity.json", hashes)

    short = [generated_text(i) for i in range(TEXTS, TEXTS + 400)]
    datas = HARD + [d for d in short if 0 < len(d) <= 60]
    old = [] if shared else json.loads((GOLDEN / "cases.json").read_text())
    cases = []
    for i, data in enumerate(datas):
        entry = {"hex": data.hex()} if as_seen(data).encode() != data else {"text": as_seen(data)}
        entry.update({name: case(t, data) for name, t in small.items()})
        entry.update({name: case(t, data) for name, t in large.items()} if shared else
                     {name: old[i][name] for name in ("gpt2", "bert_uncased", "bert_cased")})
        cases.append(entry)
    write("cases.json", cases)
    print(len(cases), "cases")
    write("scenarios.json", scenarios(bases))


if __name__ == "__main__":
    main()
