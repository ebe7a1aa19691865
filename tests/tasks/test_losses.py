import torch
from torch.nn import functional

from healswin.tasks import weighted_cross_entropy


def loss_twin(logits, target, weights, ignore_index):
    total = mass = 0.0
    for b in range(target.shape[0]):
        for p in range(target.shape[1]):
            true = int(target[b, p])
            if true != ignore_index:
                probability = logits[b, :, p].softmax(0)[true]
                total -= weights[true] * probability.log()
                mass += weights[true]
    return total / mass


def batch():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 7)
    target = torch.randint(0, 4, (2, 7))
    target[0, :3] = 255
    return logits, target, torch.tensor([0.5, 1.0, 2.0, 4.0])


def test_the_loss_is_its_twin():
    logits, target, weights = batch()
    expected = loss_twin(logits, target, weights, 255)
    torch.testing.assert_close(weighted_cross_entropy(logits, target, weights), expected)
    even = loss_twin(logits, target, torch.ones(4), 255)
    torch.testing.assert_close(weighted_cross_entropy(logits, target), even)


def test_the_loss_agrees_with_torch():
    logits, target, weights = batch()
    expected = functional.cross_entropy(logits, target, weights, ignore_index=255)
    torch.testing.assert_close(weighted_cross_entropy(logits, target, weights), expected)


def test_ignored_pixels_change_nothing():
    logits, target, weights = batch()
    changed = logits.clone()
    changed[0, :, :3] += 10
    first = weighted_cross_entropy(logits, target, weights)
    assert first == weighted_cross_entropy(changed, target, weights)


def test_a_batch_without_labels_has_no_loss_and_no_gradient():
    logits = torch.randn(1, 4, 7, requires_grad=True)
    loss = weighted_cross_entropy(logits, torch.full((1, 7), 255), torch.ones(4))
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def test_half_precision_is_summed_in_single():
    logits, target, weights = batch()
    loss = weighted_cross_entropy(logits.bfloat16(), target, weights.bfloat16())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(
        loss, weighted_cross_entropy(logits, target, weights), rtol=0.02, atol=0
    )


def test_classes_of_weight_zero_have_no_loss_and_no_gradient():
    logits = torch.randn(1, 4, 7, requires_grad=True)
    target = torch.zeros(1, 7, dtype=torch.int64)
    loss = weighted_cross_entropy(logits, target, torch.tensor([0.0, 1.0, 1.0, 1.0]))
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()
