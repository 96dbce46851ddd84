"""Writes the corpora that the fuzzers begin with: small files of every kind that a reader knows, and damaged ones. What a
fuzzer found is added by hand.

    python3 tests/fuzz/make_corpus.py
"""

import base64
import json
import struct
from pathlib import Path

HERE = Path(__file__).parent / "corpus"


def save(target: str, name: str, contents: bytes | str):
    folder = HERE / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(contents.encode() if isinstance(contents, str) else contents)


# --- TOML ---
save("config", "settings.toml", 'heads = 4\nrate = 1e-3\n"quoted key" = true\nform = "softmax" # a comment\n')
save("config", "texts.toml", 'a = "\\u00e4\\n"\nb = \'raw\'\nc = """two\nlines"""\nd = inf\ne = 0x1F\nf = -nan\n')
save("config", "table.toml", "[table]\nx = 1\n")
save("config", "array.toml", "a = [1, [2, 3], {b = 1979-05-27T07:32:00Z}]\n")
save("config", "twice.toml", "a = 1\na = 2\n")

# --- JSON ---
save("json", "config.json", json.dumps({"model_type": "llama", "rope_theta": 1e4, "rope_scaling": None, "ids": [1, -2]}))
save("json", "special.json", '{"limits": [0.0, Infinity, -Infinity], "x": NaN, "y": "NaN \\" \\u00e4"}')
save("json", "index.json", json.dumps({"metadata": {}, "weight_map": {"w": "model-00001-of-00001.safetensors"}}))
save("json", "outside.json", json.dumps({"weight_map": {"w": "../x.safetensors", "v": 3}}))
save("json", "deep.json", '{"a":' + "[" * 80 + "]" * 80 + "}")
save("json", "list.json", "[]")

# --- descriptions of pretrained models ---
published = json.loads((HERE.parents[1] / "models/pretrained/published_configs.json").read_text())
for name in ("gpt2", "pythia", "falcon-40b", "mpt-7b", "llama-3.1", "gemma-3-4b", "phi-3-mini-128k", "gpt-oss-20b",
             "qwen3-30b-a3b", "command-r7b", "smollm3", "deepseek-v3", "distilbert-base"):
    save("description", name, json.dumps(published[name]))
save("description", "huge", json.dumps(published["llama-3.1"] | {"num_hidden_layers": 1 << 60, "num_attention_heads": 1 << 31}))
save("description", "unknown", json.dumps({"model_type": "lama"}))
LLAMA = {"general.architecture": "llama", "llama.block_count": 2, "llama.context_length": 64, "llama.embedding_length": 8,
         "llama.feed_forward_length": 12, "llama.attention.head_count": 2, "llama.attention.head_count_kv": 1,
         "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.expert_count": 4, "llama.expert_used_count": 2}
save("description", "gguf-llama", json.dumps(LLAMA))


# --- NumPy ---
def npy(description: str, data: bytes, version: int = 1) -> bytes:
    header = description.encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(header)) + header + data


save("npy", "plain.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", struct.pack("<4f", 1, 2, 3, 4)))
save("npy", "half.npy", npy("{'descr': '<f2', 'fortran_order': True, 'shape': (1, 3), }", bytes(6), 2))
save("npy", "big.npy", npy("{'descr': '>i8', 'fortran_order': False, 'shape': (), }", bytes(8), 3))
save("npy", "bool.npy", npy("{'descr': '|b1', 'fortran_order': False, 'shape': (0,), }", b""))
save("npy", "records.npy", npy("{'descr': [('step', '<f8'), ('loss', '<f8', (2,)), ], 'fortran_order': False, 'shape': (1,), }", bytes(24)))
save("npy", "short.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9,), }", bytes(8)))
save("npy", "huge.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", b""))


# --- safetensors ---
def safetensors(header: dict, data: bytes) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype: str, shape: list[int], begin: int, end: int) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


save("safetensors", "two", safetensors({"__metadata__": {"format": "pt"}, "w": tensor("F32", [2], 0, 8), "b": tensor("I16", [1, 1], 8, 10)}, bytes(10)))
save("safetensors", "small", safetensors({"a": tensor("F8_E4M3", [2], 0, 2), "b": tensor("F4", [2], 2, 3), "c": tensor("BF16", [], 3, 5)}, b"\x38\x7f\x11\x80\x3f"))
save("safetensors", "wide", safetensors({"a": tensor("F64", [1], 0, 8), "b": tensor("U64", [0, 3], 8, 8), "c": tensor("F6_E2M3", [4], 8, 11)}, bytes(11)))
save("safetensors", "overlap", safetensors({"a": tensor("U8", [4], 0, 4), "b": tensor("BOOL", [4], 2, 6)}, bytes(6)))
save("safetensors", "huge", safetensors({"a": tensor("F32", [2**62, 2**62], 0, 0)}, b""))
save("safetensors", "short", struct.pack("<Q", 2**40) + b"{}")


# --- GGUF ---
def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def described(name: str, dimensions: list[int], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, offset)


def gguf(entries: list[bytes], tensors: list[bytes], data: bytes, version: int = 3, alignment: int = 32) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries)) + b"".join(entries + tensors)
    return head + bytes(-len(head) % alignment) + data


small = entry("general.alignment", 4, struct.pack("<I", 8))
scale = struct.pack("<e", 0.5)
save("gguf", "metadata", gguf([entry("a", 8, text("llama")), entry("b", 6, struct.pack("<f", 1e-5)), entry("c", 9, struct.pack("<IQ", 8, 2) + text("x") + text("y")), entry("d", 9, struct.pack("<IQIQB", 9, 1, 0, 1, 7)), entry("e", 12, bytes(8)), entry("f", 7, b"\x01")], [], b"", 2))
save("gguf", "plain", gguf([small], [described("w", [2, 1], 0, 0), described("h", [2], 1, 8), described("b", [2], 30, 16)], bytes(20), alignment=8))
save("gguf", "q8_0", gguf([], [described("w", [32], 8, 0)], scale + bytes(range(32))))
save("gguf", "q4_0", gguf([], [described("w", [32], 2, 0)], scale + bytes(range(16))))
save("gguf", "mxfp4", gguf([], [described("w", [32], 39, 0)], b"\x7f" + bytes(range(16))))
save("gguf", "q6_k", gguf([], [described("w", [256], 14, 0)], bytes(208) + scale))
save("gguf", "unread", gguf([], [described("w", [256], 16, 0)], bytes(66)))
save("gguf", "overlap", gguf([], [described("w", [9], 0, 0), described("v", [1], 0, 32)], bytes(64)))
save("gguf", "counts", b"GGUF" + struct.pack("<IQQ", 3, 2**63, 2**63))
save("gguf", "huge", gguf([], [described("w", [2**62, 4], 0, 0)], b""))


# --- tokenizers ---
def tokenizer(model: dict, **components) -> str:
    return json.dumps({"version": "1.0", "added_tokens": [{"id": 8, "content": "<s>", "special": True}], **components, "model": model})


bpe = {"type": "BPE", "vocab": {c: i for i, c in enumerate(["a", "b", "\u0120", "ab", "\u2581", "<unk>", "\u2581a", "</w>"])}, "merges": ["a b", "\u2581 a"]}
split = {"type": "Split", "pattern": {"Regex": "\\p{L}{2}+|[^\\s\\w[.,]]|(?i:'s)|\\b"}, "behavior": "MergedWithNext", "invert": True}
byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}
save("tokenizer", "bytes.json", tokenizer(bpe, pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level, split]}, normalizer={"type": "NFC"}))
save("tokenizer", "bpe.json", tokenizer({**bpe, "unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True}, normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}, decoder={"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}))
save("tokenizer", "suffix.json", tokenizer({**bpe, "unk_token": "<unk>", "end_of_word_suffix": "</w>", "ignore_merges": True}, pre_tokenizer={"type": "Whitespace"}, normalizer={"type": "Lowercase"}))
unigram = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["\u2581", -1.5], ["a", -2.0], ["\u2581the", -3.0], ["<0x0A>", -9.0]], "byte_fallback": True}
charsmap = base64.b64encode(struct.pack("<II", 4, 0) + b"x\0").decode()
save("tokenizer", "unigram.json", tokenizer(unigram, pre_tokenizer={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True}, normalizer={"type": "Sequence", "normalizers": [{"type": "Precompiled", "precompiled_charsmap": charsmap}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}, {"type": "NFKC"}]}, post_processor={"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [8], "tokens": ["<s>"]}}}))
words = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "the": 3, "head": 4, "##s": 5}
save("tokenizer", "words.json", tokenizer({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": words}, pre_tokenizer={"type": "BertPreTokenizer"}, normalizer={"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}, post_processor={"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}))
save("tokenizer", "whole_words.json", tokenizer({"type": "WordLevel", "unk_token": "[UNK]", "vocab": words}, pre_tokenizer={"type": "Punctuation", "behavior": "Contiguous"}, normalizer={"type": "Strip", "strip_left": True, "strip_right": True}))
save("tokenizer", "gap.json", tokenizer({"type": "WordLevel", "unk_token": "[UNK]", "vocab": {**words, "far": 2**40}}))
deep = {"type": "NFC"}
for _ in range(20):
    deep = {"type": "Sequence", "normalizers": [deep]}
save("tokenizer", "deep.json", tokenizer(bpe, normalizer=deep))


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def piece(value: str, score: float, kind: int) -> bytes:
    return field(1, field(1, value.encode()) + b"\x15" + struct.pack("<f", score) + bytes([3 << 3, kind]))


pieces = [piece("<unk>", 0, 2), piece("<s>", 0, 3), piece("</s>", 0, 3), piece("<0x0A>", 0, 6), piece("WORD", 0, 4)]
pieces += [piece(value, score, 1) for value, score in [("\u2581", -1), ("a", -2), ("aa", -3), ("\u2581the", -4), ("t", -5)]]
charsmap_field = field(2, struct.pack("<II", 4, 0) + b"x\0")
save("tokenizer", "bpe.model", b"".join(pieces) + field(2, bytes([3 << 3, 2])) + field(3, charsmap_field + bytes([4 << 3, 0])))
save("tokenizer", "unigram.model", b"".join(pieces) + field(2, bytes([3 << 3, 1])) + field(3, b""))
save("tokenizer", "char.model", b"".join(pieces) + field(2, bytes([3 << 3, 4])))
listed = [(" a", -1.0), ("aa", -2.0)] + [(f"t{i}", -3.0) for i in range(258)]
save("tokenizer", "llama2c.bin", struct.pack("<i", 8) + b"".join(struct.pack("<fi", score, len(value)) + value.encode() for value, score in listed))
save("tokenizer", "short.bin", struct.pack("<ifi", 8, 0.5, 2**30) + b"a")

# --- the index of token shards ---
index = {"format": "polariscope tokens 1", "numbers": "uint16", "vocabulary": 7, "tokens": 3, "documents": 2, "bytes": 5, "fingerprint": "812d4da85a1ae82e", "tokenizer": "WordPiece, 7 tokens, BERT's cuts, lower case without accents, 5 looked for as they stand, before a text [CLS], after it [SEP], fingerprint 6975ed4bd4a7288b", "tokenizer_fingerprint": "6975ed4bd4a7288b", "separator": {"token": 3, "text": "[SEP]"}, "field": "text", "rough_cuts": 0, "shards": [{"file": "tokens-00000.bin", "tokens": 2, "fingerprint": "8eadc39becd71f21"}, {"file": "tokens-00001.bin", "tokens": 1, "fingerprint": "99abe732a95a3b9e"}], "inputs": [{"path": "texts.jsonl", "bytes": 31, "documents": 2, "fingerprint": "50af97d2aff70ad7"}]}
save("tokens", "whole.json", json.dumps(index))
save("tokens", "nothing.json", json.dumps({**index, "separator": None, "field": ""}))
save("tokens", "sizes.json", json.dumps({**index, "tokens": 2**63 - 1}))
save("tokens", "negative.json", json.dumps({**index, "vocabulary": -1}))
save("tokens", "outside.json", json.dumps({**index, "shards": [{**index["shards"][0], "file": "/etc/passwd"}]}))
save("tokens", "short.json", json.dumps(index)[:200])
