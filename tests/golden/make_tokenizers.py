"""Writes tokenizers.json: small tokenizers of every kind, trained on the sentences below by Hugging Face's library, and
what that makes of the texts below. pip install tokenizers==0.23.3 sentencepiece==0.2.3"""

import base64
import io
import json
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = [
    "The attention of a head is a distribution over the keys that a query may see.",
    "When its entropy falls to zero, the head looks at one token and at nothing else.",
    "A polariscope shows stress in glass as colours; this one shows where attention collapses.",
    "In 2024 there were 128 heads in 32 layers, 4096 tokens, and 17.5 % of the weight lay on the first.",
    "Don't trust a mean: they've said it's small, we'll see, I'm sure you'd measure it again.",
    "Übergröße, café, naïve, Ångström, jalapeño, crème brûlée, Łódź, Þingvellir.",
    "softmax(QK^T / sqrt(d)) * V == y; for (int i = 0; i < n; ++i) sum += p[i];",
    "Тепло и холод. 注意力集中在第一个词上。 熱が冷める。 ελπίδα και φως.",
    "tokens tokens tokens token tokenizer tokenizers tokenize tokenized tokenization",
    "  two spaces   three spaces    four\n\n\tlines and\ttabs\r\nand more  \n",
] * 3

TEXTS = [
    "",
    " ",
    "a",
    "The head looks at one token.",
    " leading and trailing ",
    "  the  keys   that    a query  may see ",
    "Don't they'll we've I'M YOU'D it's 'quoted' o'clock",
    "2024 had 1234567 tokens, 17.5% and ²³½ Ⅷ",
    "Café café CRÈME naïve Ångström Łódź ﬁne Ｆｕｌｌ ｗｉｄｔｈ ①",
    "tokenization tokenizers untokenized",
    "\n\n\tlines\r\n and \u00a0spaces\u3000wide\u2003em \u200bzero",
    "for (int i = 0; i < n; ++i) { sum += p[i]; } // !?#$%&@",
    "注意力第一个词 and テスト mixed 注 with ελπίδα Тепло",
    "emoji 👩‍👩‍👧 🎉 and é́́ ᾳ İ ẞ ſ",
    "control \x00\x01\x7f\x85 \ufeff\ufffd end",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa aaaa",
    "<s> text <mask>  more <mask>.<pad> xWORDx WORD, a WORD</s>",
    "_under_score __dunder__ ▁blank▁inside ▁▁ twice",
    "यह हिंदी है ไทย عربى",
]

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]


def added(tokenizer):
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.add_tokens([AddedToken("WORD", single_word=True, normalized=True), AddedToken("  ", normalized=True)])
    return tokenizer


def bpe(pre_tokenizer, normalizer=None, alphabet=(), size=310, **options):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", **options))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=SPECIAL,
            initial_alphabet=list(alphabet),
            show_progress=False,
            **options,
        ),
    )
    return tokenizer


def with_bytes(tokenizer):
    """SentencePiece's byte tokens, which the trainer does not make."""
    description = json.loads(tokenizer.to_str())
    model = description["model"]
    if isinstance(model["vocab"], dict):
        for byte in range(256):
            model["vocab"].setdefault(f"<0x{byte:02X}>", len(model["vocab"]))
    else:
        model["vocab"] += [[f"<0x{byte:02X}>", -20.0] for byte in range(256)]
    model["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(description))


def replaced(tokenizer, **components):
    description = json.loads(tokenizer.to_str())
    description.update(components)
    return Tokenizer.from_str(json.dumps(description))


def template(first="<s>", last="</s>"):
    return processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=[(first, 1), (last, 2)])


def byte_level():
    tokenizer = bpe(pre_tokenizers.ByteLevel(add_prefix_space=False), alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def small_charsmap():
    """A compiled map of characters with few rules."""
    rules = Path("/tmp/rules.tsv")
    rules.write_text("FB01\t66 69\nFF26\t46\n2460\t31\n65 301\tE9\n3000\t20\nA0\t20\n0065 0301 0301\tE9 301\n")
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=file,
        vocab_size=300,
        normalization_rule_tsv=str(rules),
        byte_fallback=False,
        character_coverage=0.98,
        hard_vocab_limit=False,
        minloglevel=2,
        user_defined_symbols=["WORD", "▁▁"],
    )
    return file.getvalue()


def unigram(pre_tokenizer, normalizer=None):
    tokenizer = Tokenizer(models.Unigram())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(
        SENTENCES,
        trainers.UnigramTrainer(vocab_size=220, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False),
    )
    return tokenizer


def all_tokenizers():
    bytes_ = byte_level()
    yield "bytes", bytes_
    prefixed = replaced(bytes_)
    prefixed.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    prefixed.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 1))
    prefixed.normalizer = normalizers.NFC()
    yield "bytes with a space before, NFC, added tokens", added(prefixed)
    llama3 = replaced(bytes_)
    llama3.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(
                Regex(
                    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
                ),
                "isolated",
            ),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    llama3.post_processor = processors.Sequence([processors.ByteLevel(), template()])
    description = json.loads(llama3.to_str())
    description["model"]["ignore_merges"] = True
    yield "bytes, Llama 3's cuts", Tokenizer.from_str(json.dumps(description))
    falcon = replaced(bytes_)
    falcon.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Punctuation("contiguous"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
            pre_tokenizers.Digits(False),
            pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated"),
        ]
    )
    yield "bytes, Falcon's cuts", falcon

    wide = bpe(None, size=280)
    wide.decoder = decoders.Fuse()
    yield "wide", wide
    for behaviour in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            cut = replaced(wide)
            cut.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\p{P}]"), behaviour, invert=invert)
            yield f"wide, {behaviour}, {invert}", cut
    for name, cuts in {
        "a string": pre_tokenizers.Split("to", "merged_with_next"),
        "words": pre_tokenizers.Split(Regex(r"\w+|[^\w\s]+"), "isolated", invert=True),
        "word ends": pre_tokenizers.Split(Regex(r"\b"), "isolated"),
        "an interval twice": pre_tokenizers.Split(Regex(r"[a-z]{2,3}+|\d{1}?e|[^(\s|[.,!?])]+$"), "isolated"),
        "Whitespace": pre_tokenizers.Whitespace(),
        "WhitespaceSplit": pre_tokenizers.WhitespaceSplit(),
        "Digits one by one": pre_tokenizers.Digits(True),
        "Punctuation": pre_tokenizers.Punctuation(),
        "Bert": pre_tokenizers.BertPreTokenizer(),
        "a character": pre_tokenizers.CharDelimiterSplit("e"),
    }.items():
        cut = replaced(wide)
        cut.pre_tokenizer = cuts
        yield f"wide, {name}", cut
    for name, steps in {
        "NFD": normalizers.NFD(),
        "NFKC": normalizers.NFKC(),
        "NFKD": normalizers.NFKD(),
        "Lowercase": normalizers.Lowercase(),
        "StripAccents": normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]),
        "Strip": normalizers.Strip(True, True),
        "Nmt": normalizers.Nmt(),
        "Replace": normalizers.Sequence(
            [normalizers.Replace(Regex(r"\s{2,}"), "_"), normalizers.Replace("to", "TO"), normalizers.Prepend("e")]
        ),
        "Bert": normalizers.BertNormalizer(),
        "Bert cased": normalizers.BertNormalizer(strip_accents=True, lowercase=False, clean_text=False),
    }.items():
        changed = replaced(wide)
        changed.normalizer = steps
        yield f"wide, normalised by {name}", changed

    llama = with_bytes(bpe(pre_tokenizers.Metaspace(), size=300))
    description = json.loads(llama.to_str())
    description["model"]["fuse_unk"] = True
    llama = Tokenizer.from_str(json.dumps(description))
    llama.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    llama = replaced(llama, pre_tokenizer=None)
    llama.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    llama.post_processor = template()
    yield "Llama 2's", added(llama)
    first = replaced(llama, normalizer=None)
    first.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    first.decoder = decoders.Metaspace(prepend_scheme="first", split=False)
    yield "Llama 2's, first", first
    fused = bpe(pre_tokenizers.Whitespace(), normalizer=normalizers.Lowercase(), end_of_word_suffix="</w>", size=260)
    fused.decoder = decoders.BPEDecoder("</w>")
    yield "CLIP's suffix", fused
    clip = bpe(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(r"'s|'t|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        ),
        normalizer=normalizers.NFC(),
        alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
        size=460,
    )
    clip.decoder = decoders.ByteLevel()
    yield "CLIP's", clip
    prefixed = bpe(pre_tokenizers.Whitespace(), continuing_subword_prefix="##", size=260)
    prefixed.decoder = decoders.WordPiece()
    yield "a prefix", prefixed
    unknown = replaced(wide)
    description = json.loads(unknown.to_str())
    description["model"]["fuse_unk"] = True
    yield "wide, unknown ones fused", Tokenizer.from_str(json.dumps(description))

    metaspace = unigram(
        pre_tokenizers.Metaspace(), normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    )
    metaspace.decoder = decoders.Metaspace()
    metaspace.post_processor = template()
    yield "unigram", added(metaspace)
    yield "unigram with bytes", with_bytes(replaced(metaspace))
    model = proto.ModelProto()
    model.ParseFromString(small_charsmap())
    charsmap = replaced(metaspace)
    charsmap.normalizer = normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap)
    yield "unigram with a map of characters", charsmap

    bert = Tokenizer(models.WordPiece(unk_token="<unk>"))
    bert.normalizer = normalizers.BertNormalizer()
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    bert.train_from_iterator(
        SENTENCES, trainers.WordPieceTrainer(vocab_size=260, special_tokens=SPECIAL, show_progress=False)
    )
    bert.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 1))
    bert.decoder = decoders.WordPiece()
    yield "BERT's", added(bert)
    level = Tokenizer(models.WordLevel(unk_token="<unk>"))
    level.pre_tokenizer = pre_tokenizers.Whitespace()
    level.train_from_iterator(
        SENTENCES, trainers.WordLevelTrainer(vocab_size=100, special_tokens=SPECIAL, show_progress=False)
    )
    yield "words", level


def delta(description, bases):
    """A tokenizer that differs from an earlier one in few components is written as these."""
    for name, base in bases.items():
        if base["model"] == description["model"] and base["added_tokens"] == description["added_tokens"]:
            return {"like": name, "but": {key: value for key, value in description.items() if value != base[key]}}
    return {"whole": description}


def main():
    cases, bases = [], {}
    for name, tokenizer in all_tokenizers():
        description = json.loads(tokenizer.to_str())
        case = {"name": name, **delta(description, bases)}
        bases.setdefault(name, description)
        encodings = tokenizer.encode_batch(TEXTS)
        case["ids"] = [encoding.ids for encoding in encodings]
        case["plain"] = [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in TEXTS]
        if "decoder" in case.get("but", {"decoder": None}):
            decoded = [tokenizer.decode(encoding.ids, skip_special_tokens=False) for encoding in encodings]
            case["decoded"] = [None if a == b else a for a, b in zip(decoded, TEXTS)]  # null: the text itself
        cases.append(case)
    processor = sentencepiece.SentencePieceProcessor()
    pieces = []
    for model_type, options in {
        "bpe": {"byte_fallback": True, "vocab_size": 560},
        "unigram": {"vocab_size": 300, "hard_vocab_limit": False},
    }.items():
        file = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES),
            model_writer=file,
            model_type=model_type,
            character_coverage=0.98,
            normalization_rule_name="identity",
            user_defined_symbols=["WORD", "▁▁"],
            minloglevel=2,
            **options,
        )
        pieces.append((model_type, file.getvalue()))
    pieces.append(("unigram with a map of characters", small_charsmap()))
    models_ = []
    for name, model in pieces:
        processor.LoadFromSerializedProto(model)
        texts = [text for text in TEXTS if "\x00" not in text]  # the library's own strings end there
        models_.append(
            {"name": name, "model": base64.b64encode(model).decode(), "texts": texts, "ids": processor.encode(texts)}
        )
    document = {"texts": TEXTS, "tokenizers": cases, "sentencepiece": models_}
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    Path(__file__).with_name("tokenizers.json").write_text(text + "\n", encoding="utf-8")
    print(len(text), "characters,", len(cases), "tokenizers")


if __name__ == "__main__":
    main()
