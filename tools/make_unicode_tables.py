#!/usr/bin/env python3
"""Writes include/ldlm/text/unicode_tables.hpp and tests/golden/unicode_hashes.json.

The tables say what Hugging Face's `tokenizers` makes of every code point. That library mixes
several Unicode versions (its regex engine's, Rust's own and those of two older crates), none of
which is Python's, so each property is probed from the library itself, one code point at a time,
instead of being read from `unicodedata`.

usage: python tools/make_unicode_tables.py        (needs the package `tokenizers`; half a minute)
"""
import itertools
import json
import pathlib
import unicodedata

import tokenizers
from generated_texts import Fnv
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
LETTER, NUMBER, WHITESPACE, PUNCTUATION, CONTROL, MARK, WORD = (1 << i for i in range(7))
HANGUL = range(0xAC00, 0xD7A4)
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def probe_classes():
    """Property bits of every code point (surrogates: none)."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bert_split = pre_tokenizers.BertPreTokenizer()
    clean = normalizers.BertNormalizer(True, False, False, False)
    strip = normalizers.BertNormalizer(False, False, True, False)
    nfd = normalizers.NFD()
    whole_word = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    whole_word.add_tokens([AddedToken("@@", single_word=True, normalized=False)])
    trimmed = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    trimmed.add_tokens([AddedToken("@@", rstrip=True, lstrip=True, normalized=False)])
    classes = [0] * 0x110000
    for c in CODE_POINTS:
        char, bits = chr(c), 0
        if len(byte_level.pre_tokenize_str(f"x{char}x")) == 1:
            bits |= LETTER
        elif len(byte_level.pre_tokenize_str(f"1{char}1")) == 1:
            bits |= NUMBER
        elif len(byte_level.pre_tokenize_str(f"!{char}!")) != 1:
            bits |= WHITESPACE
        pieces = len(bert_split.pre_tokenize_str(f"a{char}b"))
        assert (pieces == 2) == bool(bits & WHITESPACE), hex(c)
        if pieces == 3:
            bits |= PUNCTUATION
        cleaned = clean.normalize_str(f"a{char}b")
        if cleaned == "ab":
            bits |= CONTROL
        else:
            assert cleaned == ("a b" if bits & WHITESPACE else f"a{char}b"), hex(c)
        if nfd.normalize_str(char) == char and strip.normalize_str("a" + char) == "a":
            bits |= MARK
        if len(whole_word.encode("@@" + char).ids) == 1:
            bits |= WORD
        for text in ("@@" + char, char + "@@"):
            assert (trimmed.encode(text).offsets == [(0, 3)]) == bool(bits & WHITESPACE), hex(c)
        classes[c] = bits
    return classes


def probe_lower():
    lower = normalizers.Lowercase()
    pairs = ((c, lower.normalize_str(chr(c))) for c in CODE_POINTS)
    return {c: [ord(x) for x in s] for c, s in pairs if s != chr(c)}


def probe_decompositions():
    """Full canonical decompositions but Hangul's, and those which NFC puts together again."""
    nfd, nfc = normalizers.NFD(), normalizers.NFC()
    full = {}
    for c in CODE_POINTS:
        s = nfd.normalize_str(chr(c))
        if s != chr(c) and c not in HANGUL:
            full[c] = [ord(x) for x in s]
    composes = {c for c in full if nfc.normalize_str(chr(c)) == chr(c) and len(full[c]) > 1}
    for c in composes:  # the reader derives the pair from the full decomposition
        head = nfc.normalize_str("".join(map(chr, full[c][:-1])))
        assert len(head) == 1 and nfc.normalize_str(head + chr(full[c][-1])) == chr(c), hex(c)
    return full, composes


def probe_combining_classes(full):
    """Canonical combining classes, from the order in which NFD puts two marks."""
    nfd = normalizers.NFD()
    anchors = {}
    for c in CODE_POINTS:
        if unicodedata.combining(chr(c)) and c not in full:
            anchors.setdefault(unicodedata.combining(chr(c)), chr(c))
    lowest, highest = anchors[min(anchors)], anchors[max(anchors)]

    def swapped(first, second):
        return nfd.normalize_str("a" + first + second) != "a" + first + second

    result = {}
    for c in CODE_POINTS:
        char = chr(c)
        if c in full or c in HANGUL:
            continue
        if swapped(highest, char) or swapped(char, lowest) or char in (lowest, highest):
            later = [v for v, anchor in anchors.items() if swapped(anchor, char)]
            result[c] = max((v for v in anchors if v < min(later, default=999)))
    return result


def varint(value):
    assert value >= 0
    out = []
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return out + [value]


def zigzag(value):
    return varint(value * 2 if value >= 0 else -value * 2 - 1)


def pack_classes(classes):
    out = []
    for bits, run in itertools.groupby(classes):
        out += varint(len(list(run))) + [bits]
    return out


def pack_lower(lower):
    """Runs (gap, count, stride, delta) of code points that move by the same distance."""
    single = sorted(c for c in lower if len(lower[c]) == 1)
    assert [c for c in lower if len(lower[c]) > 1] == [0x130] and lower[0x130] == [0x69, 0x307]
    out, last, i = [], 0, 0
    while i < len(single):
        first, delta = single[i], lower[single[i]][0] - single[i]
        stride, count = 1, 1
        for step in (1, 2):
            n = 1
            while lower.get(first + n * step, [None])[0] == first + n * step + delta:
                n += 1
            if n > count:
                stride, count = step, n
        run = {first + k * stride for k in range(count)}
        # A run must not jump over a code point that belongs to another one.
        while single[i : i + count] != sorted(run):
            count -= 1
            run = {first + k * stride for k in range(count)}
        out += varint(first - last) + varint(count) + [stride] + zigzag(delta)
        last, i = first + (count - 1) * stride, i + count
    return out


def pack_decompositions(full, composes):
    out, last = [], 0
    for c in sorted(full):
        out += varint(c - last) + varint(len(full[c]) * 2 + (c in composes))
        out += zigzag(full[c][0] - c)
        for x in full[c][1:]:
            out += varint(x)
        last = c
    return out


def pack_combining_classes(ccc):
    out, last = [], 0
    runs = itertools.groupby(sorted(ccc.items()), key=lambda kv, n=itertools.count(): (kv[0] - next(n), kv[1]))
    for (_, value), run in runs:
        run = list(run)
        out += varint(run[0][0] - last) + varint(len(run)) + [value]
        last = run[-1][0]
    return out


def array(name, comment, data):
    lines = [f"// {comment}", f"inline constexpr unsigned char {name}[{len(data)}] = {{"]
    line = "   "
    for value in data:
        if len(line) + len(f" {value},") > 128:
            lines.append(line)
            line = "   "
        line += f" {value},"
    return "\n".join(lines + [line, "};", ""])


def fnv(values):
    hash_ = Fnv()
    hash_.numbers(values)
    return hash_.hex()


def with_ends(mapping):
    """A map's entries flattened for hashing: code point, images, end marker."""
    for c in sorted(mapping):
        yield c
        yield from mapping[c]
        yield 0xFFFFFFFF


def main():
    classes, lower = probe_classes(), probe_lower()
    full, composes = probe_decompositions()
    ccc = probe_combining_classes(full)
    header = f"""#pragma once
// Made by tools/make_unicode_tables.py from Hugging Face tokenizers {tokenizers.__version__}; do not edit.
//
// Numbers are varints (7 bits a byte, low bits first; z: zigzag for signed ones).
// text/unicode.hpp unpacks them on first use.
// clang-format off

namespace ldlm::detail::unicode_tables {{

{array("class_runs", "Runs (length, property bits) that cover every code point from 0.", pack_classes(classes))}
{array("lower_runs", "Lower case: (gap from the last run's last code point, count, stride, z distance).", pack_lower(lower))}
{array("decompositions", "Canonical decompositions: (gap, 2 * length + composes, z first - code point, the others).", pack_decompositions(full, composes))}
{array("combining_runs", "Combining classes: (gap from the last run's last code point, count, class).", pack_combining_classes(ccc))}
}}  // namespace ldlm::detail::unicode_tables
// clang-format on
"""
    (ROOT / "include/ldlm/text/unicode_tables.hpp").write_text(header)
    hashes = {
        "tokenizers": tokenizers.__version__,
        "classes": fnv(classes),
        "lower": fnv(with_ends(lower)),
        "nfd": fnv(with_ends(full)),
        "nfc": fnv(sorted(composes)),
        "combining": fnv(with_ends({c: [v] for c, v in ccc.items()})),
    }
    golden = ROOT / "tests/golden"
    golden.mkdir(parents=True, exist_ok=True)
    (golden / "unicode_hashes.json").write_text(json.dumps(hashes, indent=1) + "\n")
    print(json.dumps(hashes, indent=1), len(header), "characters")


if __name__ == "__main__":
    main()
