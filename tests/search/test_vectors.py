"""Which of many vectors are most like one: the same answer, however it is found."""

import random

import pytest

from micro_agi.search.vectors import LARGE, SKETCH, Matrix, closest, pack

numpy = pytest.importorskip("numpy")
WIDTH = 200


def vectors(kind, count, *, seed=0):
    """Vectors of unit length: in all directions alike, as embeddings lie, or in a plane."""
    chance = numpy.random.default_rng(seed)
    if kind == "anywhere":
        made = chance.standard_normal((count, WIDTH))
    elif kind == "embeddings":
        weights = 1 / numpy.sqrt(1 + numpy.arange(WIDTH))
        centres = chance.standard_normal((50, WIDTH)) * weights
        around = chance.standard_normal((count, WIDTH)) * weights
        made = centres[chance.integers(0, 50, count)] + 0.7 * around
    else:
        made = numpy.sin(numpy.arange(count)[:, None] + numpy.arange(WIDTH)[None, :])
    return (made / numpy.linalg.norm(made, axis=1, keepdims=True)).astype("<f4")


def best(block, query, limit):
    likeness = block @ query
    return likeness[numpy.argsort(-likeness)[:limit]]


@pytest.mark.parametrize("kind", ["anywhere", "embeddings", "a plane"])
def test_a_large_matrix_answers_as_if_it_compared_everything(kind):
    block = vectors(kind, LARGE + 700)
    matrix = Matrix(WIDTH)
    matrix.add((n + 1, row.tobytes()) for n, row in enumerate(block[:LARGE]))
    queries = [block[7], *vectors("anywhere", 2, seed=1), *vectors("embeddings", 2, seed=2)]
    for there in (LARGE, len(block)):
        if there > LARGE:
            matrix.add((n + 1, block[n].tobytes()) for n in range(LARGE, there))
        for query in queries:
            for limit in (1, 50):
                found = matrix.closest(pack(list(query)), limit)
                assert len(set(found)) == limit
                likeness = block[[n - 1 for n in found]] @ query
                assert numpy.allclose(likeness, best(block[:there], query, limit), atol=1e-5)


def test_of_embeddings_few_are_compared_in_full():
    block = vectors("embeddings", LARGE)
    matrix = Matrix(WIDTH)
    matrix.add((n, row.tobytes()) for n, row in enumerate(block))
    rows = matrix._likely(block[7], 50)
    assert rows is not None
    assert 50 <= len(rows) < LARGE // 8


def test_small_ones_and_odd_ones():
    matrix = Matrix(3)
    assert matrix.closest(pack([1, 0, 0]), 5) == []
    matrix.add(
        [(7, pack([1, 0, 0])), (9, pack([1, 1, 0])), (8, b"no vector"), (11, pack([0, 0, 1]))]
    )
    assert matrix.closest(pack([2, 0.1, 0]), 2) == [7, 9]
    assert matrix.closest(pack([2, 0.1, 0]), 99) == [7, 9, 11]
    assert matrix.closest(pack([1, 0]), 2) == []
    assert matrix.closest(pack([1, 0, 0]), 0) == []
    chance = random.Random(3)
    many = {n: pack([chance.gauss(0, 1) for _ in range(5)]) for n in range(300)}
    matrix = Matrix(5)
    matrix.add(many.items())
    assert matrix.closest(many[4], 20) == closest(many[4], many, 20)
    assert SKETCH < WIDTH
