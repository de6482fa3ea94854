"""Texts chosen to hurt a tokenizer, the same here and in tests/generated_texts.hpp.

A counter-based generator makes text i from i alone, as bytes: some are not valid UTF-8.
"""

MASK = (1 << 64) - 1

POOLS = [
    [(0x20, 0x7E)],
    [(0x61, 0x7A)],
    [(0x00, 0x1F), (0x7F, 0x9F)],
    [(0xA0, 0x24F)],
    [(0x300, 0x36F)],
    [(0x370, 0x52F)],
    [(0x590, 0x6FF)],
    [(0x900, 0xDFF)],
    [(0xE00, 0xFFF)],
    [(0x1100, 0x11FF)],
    [(0x1E00, 0x206F)],
    [(0x20A0, 0x27BF)],
    [(0x2E80, 0x30FF), (0x3400, 0x3420), (0x4E00, 0x4F00)],
    [(0xAC00, 0xAD00)],
    [(0xF900, 0xFAFF), (0xFB00, 0xFFFF)],
    [(0x1F300, 0x1F64F), (0x200D, 0x200D), (0xFE0F, 0xFE0F), (0x1F3FB, 0x1F3FF), (0x1F1E6, 0x1F1FF)],
    [(0x20000, 0x20040), (0x2B920, 0x2B940), (0x2F800, 0x2FA1F), (0x30000, 0x30010)],
    [(0x00, 0x10FFFF)],
    [(0x20, 0x20), (0x09, 0x0D), (0xA0, 0xA0), (0x2000, 0x200A), (0x3000, 0x3000), (0x85, 0x85), (0x2028, 0x2029)],
    [(0x30, 0x39), (0xB2, 0xB3), (0x660, 0x669), (0x2160, 0x2170), (0x1D7CE, 0x1D7FF)],
    [(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)],
    # Cases, marks that reorder or expand, and what normalizers remove.
    [(c, c) for c in (0x130, 0x131, 0xDF, 0x1E9E, 0x3A3, 0x3C2, 0x344, 0x340, 0x341, 0xF73, 0xF81, 0x1FEE,
                      0x302E, 0x1D15E, 0x11938, 0x212B, 0x958, 0x327, 0x301, 0x323, 0x338, 0x3C, 0x345,
                      0xFFFD, 0xFEFF, 0xAD, 0x200B, 0x41, 0x65, 0x61)],
]

PHRASES = [
    "'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", " don't", "I'll've", "[MASK]", "[CLS]", "[UNK]",
    "<|endoftext|>", "##ing", "the ", " and", "1234", "3.14", "http://a.b/c?d=e", "e\u0301",
    "\U0001F469\u200D\U0001F469\u200D\U0001F467", "\U0001F1E9\U0001F1EA", "\r\n", " \n\n ", "[SEP]  ",
    "can't", "U.S.", "harbour", " machine learning", "\ufeff", "<pad>", "  <mask> ", "\u00e4\u0308",
]


def counter_hash(seed, counter):
    """SplitMix64."""
    x = (seed + (counter + 1) * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
    return x ^ x >> 31


def generated_text(index):
    """The bytes of text `index`."""
    counter = 0

    def below(n):
        nonlocal counter
        counter += 1
        return counter_hash(index, counter - 1) % n

    def character(pool):
        first, last = pool[below(len(pool))]
        c = first + below(last - first + 1)
        return chr(0xFFFD if 0xD800 <= c < 0xE000 else c)

    out = b""
    for _ in range(below(9)):
        kind = below(20)
        if kind < 14:
            pool = POOLS[below(len(POOLS))]
            length = 1 + below((2, 4, 12, 40)[below(4)])
            out += "".join(character(pool) for _ in range(length)).encode()
        elif kind == 14 or kind == 15:
            out += PHRASES[below(len(PHRASES))].encode()
        elif kind == 16:
            out += b" " * (1 + below(12))
        elif kind == 17:
            char = character(POOLS[below(len(POOLS))])
            out += (char * (1 + below(60))).encode()
        elif kind == 18:
            out += bytes(0x80 + below(0x80) for _ in range(1 + below(4)))
        elif below(20) == 0:
            pool = POOLS[(1, 3, 12)[below(3)]]
            out += "".join(character(pool) for _ in range(90 + below(3000))).encode()
        if below(2) == 0:
            out += b" "
    return out


class Fnv:
    """FNV-1a 64 whose digits are 32-bit numbers, as tests/text_support.hpp computes it."""

    def __init__(self):
        self.hash = 0xCBF29CE484222325

    def numbers(self, values):
        h = self.hash
        for v in values:
            h = ((h ^ v) * 0x100000001B3) & MASK
        self.hash = h

    def string(self, text):
        self.numbers(map(ord, text))
        self.numbers([len(text)])

    def hex(self):
        return f"{self.hash:016x}"
