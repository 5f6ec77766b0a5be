"""A WordPiece tokenizer from the training texts, the same one for the same texts."""

from collections.abc import Sequence

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> str:
    """A lower-casing WordPiece tokenizer learned from `texts`, as the content of tokenizer.json; id 0 is padding.

    The library numbers the pieces inside words in the order of a hash table, and breaks ties by these numbers, so that
    each call would learn other words. Here they are numbered before it begins.
    """
    pieces = _inner_pieces(texts)
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=[*SPECIAL, *pieces], show_progress=False)
    learning = _untrained({})
    learning.train_from_iterator(iter(texts), trainer)  # a list of them is not made
    tokenizer = _untrained(learning.get_vocab())  # anew, since `pieces` are no special tokens
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", SPECIAL.index("[CLS]")), ("[SEP]", SPECIAL.index("[SEP]"))]
    )
    return tokenizer.to_str()


def _untrained(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _inner_pieces(texts: Sequence[str]) -> list[str]:
    """Every letter that is not the first of its word, as WordPiece writes it, sorted."""
    tokenizer = _untrained({})
    letters = {
        letter
        for text in texts
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))
        for letter in word[1:]
    }
    return [f"##{letter}" for letter in sorted(letters)]
