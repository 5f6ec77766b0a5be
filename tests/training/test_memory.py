"""The memory is first in, first out; the sampler is fair, exact and repeatable."""

import pytest
import torch
from torch import Tensor

from training.memory import Memory, Negatives, draw, draw_repeatedly

ENTRIES, CLASSES = 64, 4


def numbered(first: int, last: int) -> dict[str, Tensor]:
    """Projections that say which sample they are of."""
    numbers = torch.arange(first, last, dtype=torch.float32)
    return {"audio": numbers[:, None].repeat(1, 2), "video": -numbers[:, None].repeat(1, 2)}


def push(memory: Memory, first: int, last: int) -> None:
    samples = torch.arange(first, last)
    memory.push(numbered(first, last), samples % CLASSES, samples, samples // 2)


def filled() -> Memory:
    memory = Memory(ENTRIES, 2, ["audio", "video"])
    push(memory, 0, ENTRIES)
    return memory


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def in_order(memory: Memory) -> list[int]:
    """Samples from the oldest to the newest."""
    position = int(memory.position)
    samples: list[int] = torch.cat([memory.samples[position:], memory.samples[:position]]).tolist()
    return samples


def test_the_oldest_entries_are_overwritten_first_and_every_column_moves_together() -> None:
    memory = Memory(10, 2, ["audio", "video"])
    expected: list[int] = [-1] * 10
    start = 0
    for size in (4, 4, 1, 7, 10, 3, 0, 6):
        push(memory, start, start + size)
        expected = [*expected, *range(start, start + size)][-10:]
        start += size
        assert in_order(memory) == expected
        written = memory.samples >= 0
        kept = memory.samples[written]
        assert torch.equal(memory.projections("audio")[written][:, 0], kept.float())
        assert torch.equal(memory.projections("video")[written][:, 1], -kept.float())
        assert torch.equal(memory.contexts[written], kept % CLASSES)
        assert torch.equal(memory.groups[written], kept // 2)


@pytest.mark.parametrize("before", [0, 3])
def test_of_a_batch_larger_than_the_memory_the_end_is_kept(before: int) -> None:
    memory = Memory(5, 2, ["audio", "video"])
    push(memory, 100, 100 + before)
    push(memory, 0, 12)
    assert in_order(memory) == [7, 8, 9, 10, 11]
    push(memory, 12, 14)
    assert in_order(memory) == [9, 10, 11, 12, 13]


def test_what_is_remembered_is_detached_and_in_float32() -> None:
    memory = Memory(4, 2, ["audio", "video"])
    live = {name: values.bfloat16().requires_grad_(True) for name, values in numbered(0, 4).items()}
    memory.push(live, torch.zeros(4, dtype=torch.long), torch.arange(4), torch.arange(4))
    assert not memory.projections("audio").requires_grad
    assert memory.projections("audio").dtype == torch.float32
    assert {name for name, _ in memory.named_buffers()} == set(memory.state_dict())


@pytest.mark.parametrize("negatives", ["same_context", "any"])
def test_candidates_are_what_a_double_loop_over_the_rules_allows(negatives: Negatives) -> None:
    memory = Memory(ENTRIES, 2, ["audio", "video"])
    push(memory, 0, 40)  # a part stays unwritten
    samples = torch.arange(30, 50)
    contexts, groups = samples % CLASSES, samples // 2
    found = memory.candidates(contexts, samples, groups, negatives)
    for i in range(len(samples)):
        for j in range(ENTRIES):
            written = j < 40
            other_sample, other_group = int(samples[i]) != j, int(groups[i]) != j // 2
            same = negatives == "any" or int(contexts[i]) == j % CLASSES
            assert bool(found[i, j]) == (written and other_sample and other_group and same)


def test_a_sample_seen_again_and_all_its_group_are_never_its_own_false_partners() -> None:
    memory = Memory(ENTRIES, 2, ["audio", "video"])
    same_genomics = torch.tensor([7, 7, 7, 8, 9])
    label = torch.zeros(5, dtype=torch.long)
    for _ in range(3):  # three epochs
        memory.push(numbered(0, 5), label, torch.arange(5), same_genomics)
    allowed = memory.candidates(label, torch.arange(5), same_genomics, "same_context")
    chosen, valid = draw(allowed, 5, seeded())
    assert valid.all()
    for anchor in range(5):
        partners = set(memory.samples[chosen[anchor]].tolist())
        assert partners <= ({3, 4} if anchor < 3 else {0, 1, 2, 7 - anchor})


def test_with_enough_candidates_they_are_drawn_without_replacement() -> None:
    allowed = torch.rand(200, ENTRIES, generator=seeded(1)) < 0.5
    chosen, valid = draw(allowed, 5, seeded())
    assert valid.all()
    for anchor in range(200):
        assert len(set(chosen[anchor].tolist())) == 5
        assert allowed[anchor, chosen[anchor]].all()
    everything, _ = draw(allowed[:1], int(allowed[0].sum()), seeded())
    assert torch.equal(everything[0].sort().values, allowed[0].nonzero()[:, 0])


def test_with_fewer_candidates_than_wanted_all_are_drawn_and_some_again() -> None:
    allowed = torch.zeros(300, ENTRIES, dtype=torch.bool)
    allowed[:, [3, 40]] = True
    chosen, valid = draw(allowed, 5, seeded())
    assert valid.all()
    for anchor in range(300):
        assert set(chosen[anchor].tolist()) == {3, 40}
    assert float((chosen == 3).double().mean()) == pytest.approx(0.5, abs=0.05)
    alone = torch.zeros(1, 3, dtype=torch.bool)  # a memory smaller than what is wanted
    alone[0, 1] = True
    assert draw(alone, 5, seeded())[0].tolist() == [[1] * 5]


def test_an_anchor_without_candidates_is_masked_and_the_others_are_not() -> None:
    allowed = torch.ones(3, ENTRIES, dtype=torch.bool)
    allowed[1] = False
    chosen, valid = draw(allowed, 5, seeded())
    assert valid.tolist() == [True, False, True]
    assert chosen.shape == (3, 5)
    assert int(chosen.min()) >= 0
    assert int(chosen.max()) < ENTRIES


@pytest.mark.parametrize(("candidates", "count"), [(20, 5), (3, 5), (8, 8)])
def test_every_candidate_is_equally_likely(candidates: int, count: int) -> None:
    allowed = torch.zeros(20_000, ENTRIES, dtype=torch.bool)
    members = torch.randperm(ENTRIES, generator=seeded(2))[:candidates]
    allowed[:, members] = True
    chosen, _ = draw(allowed, count, seeded(3))
    for column in (0, count - 1):  # each draw by itself is uniform, the first as the last
        counts = torch.bincount(chosen[:, column], minlength=ENTRIES)[members].double()
        assert int(counts.sum()) == 20_000
        expected = 20_000 / candidates
        statistic = float(((counts - expected) ** 2 / expected).sum())
        freedom = candidates - 1
        assert statistic < freedom + 4 * (2 * freedom) ** 0.5  # four standard deviations of χ²


def test_the_largest_random_number_still_finds_a_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = torch.tensor(1 - 2**-24)  # of torch.rand; times a number of candidates it must not round up to it
    monkeypatch.setattr(torch, "rand", lambda *shape, generator: largest.expand(*shape))
    for candidates in range(1, 20):
        allowed = torch.arange(20)[None] >= 20 - candidates
        chosen, _ = draw(allowed, candidates + 2, seeded())
        assert int(chosen.min()) >= 20 - candidates


def test_the_generator_alone_decides_and_no_other_random_stream_is_touched() -> None:
    memory = filled()
    samples = torch.arange(10, 20)
    allowed = memory.candidates(samples % CLASSES, samples, samples // 2, "same_context")
    before = torch.get_rng_state()
    one = draw(allowed, 5, seeded(4))[0]
    torch.rand(3)
    torch.set_rng_state(before)
    assert torch.equal(one, draw(allowed, 5, seeded(4))[0])
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(one, draw(allowed, 5, seeded(5))[0])
    generator = seeded(4)
    state = generator.get_state()
    draw(allowed, 5, generator)
    second = draw(allowed, 5, generator)[0]
    assert not torch.equal(one, second)
    generator.set_state(state)
    assert torch.equal(one, draw(allowed, 5, generator)[0])


@pytest.mark.parametrize("size", [ENTRIES, ENTRIES + 3, 5])
def test_drawing_several_times_at_once_is_drawing_in_a_row(size: int) -> None:
    allowed = torch.rand(50, size, generator=seeded(1)) < 0.3
    together, valid = draw_repeatedly(allowed, 4, 3, seeded(4))
    generator = seeded(4)
    for drawn in together:
        alone, found = draw(allowed, 4, generator)
        assert torch.equal(drawn, alone)
        assert torch.equal(valid, found) and torch.equal(valid, allowed.any(dim=1))
        assert allowed.gather(1, drawn)[valid].all()


def test_every_set_of_partners_is_equally_likely() -> None:
    allowed = torch.zeros(20_000, ENTRIES, dtype=torch.bool)
    members = torch.tensor([3, 17, 18, 40, 63])
    allowed[:, members] = True
    chosen, _ = draw(allowed, 3, seeded(6))
    sets = (chosen[:, :, None] == members).any(dim=1).long() @ (2 ** torch.arange(5))
    counts = torch.bincount(sets, minlength=32).double()
    counts = counts[counts > 0]
    assert len(counts) == 10  # of 5 take 3
    statistic = float(((counts - 2000) ** 2 / 2000).sum())
    assert statistic < 9 + 4 * 18**0.5  # four standard deviations of χ²


def test_the_rows_of_entries_are_their_projections() -> None:
    memory = filled()
    indices = torch.tensor([[3, 5], [0, 63]])
    assert torch.equal(memory.rows("video", indices), memory.projections("video")[indices])
