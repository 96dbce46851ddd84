"""What watch() leaves as it is: the model, its copies, its output, its gradients, and whatever else runs."""

import copy
import io
import pickle
import threading
import weakref

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint
from watched import Attention, Block, WatchTest

import polariscope


class Checkpointed(nn.Module):
    def __init__(self, block, **arguments):
        super().__init__()
        self.block, self.arguments = block, arguments

    def forward(self, x):
        return checkpoint(self.block, x, **self.arguments)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in model.parameters()]


class WatchLeaves(WatchTest):
    def test_copies_that_are_made_inside_are_models_of_their_own(self):
        model = nn.Sequential(Block(), Block()).eval()
        x = torch.randn(2, 5, 16)
        with polariscope.watch(model) as record:
            stored = io.BytesIO()
            torch.save(model, stored)
            stored.seek(0)
            copies = [copy.deepcopy(model), AveragedModel(model).module, pickle.loads(pickle.dumps(model)),
                      torch.load(stored, weights_only=False)]
            expected = model(x)
            self.assertEqual(len(record.calls), 2)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.zero_()
            for made in copies:
                self.same(made(x), expected)
            self.assertEqual(len(record.calls), 2)  # they are not the model
        for made in copies:
            self.same(made(x), expected)
            for theirs, ours in zip(made.modules(), model.modules()):
                self.assertEqual(vars(theirs).keys(), vars(ours).keys())
                self.assertNotIn("forward", vars(theirs))
            with polariscope.watch(made) as record:
                made(x)
            self.assertEqual(len(record.calls), 2)

    def test_a_block_may_end_before_one_that_it_began_in(self):
        model, other = nn.Sequential(Block(), Block()), Block()
        x = torch.randn(1, 4, 16)
        first, second, third = (polariscope.watch(m) for m in (model, model, other))
        seen = [first.__enter__()]
        model(x)
        seen.append(second.__enter__())
        model(x)
        first.__exit__(None, None, None)
        model(x)
        seen.append(third.__enter__())
        second.__exit__(None, None, None)
        model(x)
        other(x)
        third.__exit__(None, None, None)
        model(x)
        self.assertEqual([len(record.calls) for record in seen], [4, 4, 1])

    def test_what_others_replace_meanwhile_stays(self):
        before = F.multi_head_attention_forward
        with polariscope.watch(nn.MultiheadAttention(16, 4)):
            F.multi_head_attention_forward = theirs = lambda *arguments, **named: None
        self.assertIs(F.multi_head_attention_forward, theirs)
        F.multi_head_attention_forward = before

    def test_threads_with_blocks_of_their_own_on_one_model(self):
        model = nn.Sequential(Block(), nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)).eval()
        x = torch.randn(1, 4, 16)
        expected, outputs, records, own = model(x), [], [], 30
        start = threading.Barrier(4)

        def run():
            start.wait()
            for _ in range(own):
                with polariscope.watch(model, statistics=["entropy"]) as record:
                    outputs.append(model(x))
                records.append(record)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(records), 4 * own)
        for record in records:
            self.assertGreaterEqual(len(record.calls), 2)
            self.assertEqual(dict(record.notes), {})
        for output in outputs:
            self.same(output, expected)

    def test_a_block_sees_its_model_on_every_thread(self):
        model, other = nn.Sequential(Block(), Block()), Block()
        x = torch.randn(1, 4, 16)

        def run():
            for _ in range(20):
                model(x)
                other(x)

        with polariscope.watch(model, statistics=["entropy"]) as record:
            threads = [threading.Thread(target=run) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        for layer in ("0", "1"):
            self.assertEqual([call.index for call in record[layer]], list(range(80)))

    def test_checkpointing_is_seen_once_and_works(self):
        x = torch.randn(2, 5, 16, requires_grad=True)
        for reentrant in (False, True):
            for block in (Block(), Block(direct=True), nn.TransformerEncoderLayer(16, 4, 32, 0.0)):
                for detach in (True, False):
                    with self.subTest(reentrant=reentrant, block=type(block).__name__, detach=detach):
                        model = Checkpointed(block, use_reentrant=reentrant)
                        expected = gradients(model, model(x).square().sum())
                        with polariscope.watch(model, detach=detach) as record:
                            loss = model(x).square().sum()
                            inside = gradients(model, model(x).square().sum())
                            self.assertEqual(len(record.calls), 2)
                        outside = gradients(model, loss)
                        self.assertEqual(len(record.calls), 2)
                        for one, two, three in zip(inside, outside, expected):
                            self.same(one, three)
                            self.same(two, three)

    def test_selective_checkpointing_keeps_its_count(self):
        # It stores outputs by operator and order: one more of an operator that it stores would shift all that follow.
        def stored(context, operator, *arguments, **named):
            return CheckpointPolicy.MUST_SAVE if operator in kept else CheckpointPolicy.PREFER_RECOMPUTE

        from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts
        aten = torch.ops.aten
        kept = [aten.mm.default, aten.addmm.default, aten.bmm.default, torch.ops.polariscope.attend.default]
        x = torch.randn(5, 2, 16, requires_grad=True)
        for block in (Block(), Block(direct=True), nn.TransformerEncoderLayer(16, 4, 32, 0.0)):
            model = Checkpointed(block, use_reentrant=False,
                                 context_fn=lambda: create_selective_checkpoint_contexts(stored))
            expected = gradients(model, model(x).square().sum())
            with polariscope.watch(model) as record:
                found = gradients(model, model(x).square().sum())
            self.assertEqual(len(record.calls), 1)
            for ours, theirs in zip(found, expected):
                self.same(ours, theirs)

    def test_a_penalty_through_a_checkpoint_is_felt(self):
        block, x = Block(), torch.randn(2, 5, 16)
        found = []
        for model in (block, Checkpointed(block, use_reentrant=False)):
            with polariscope.watch(model, detach=False) as record:
                model(x)
            record.calls[0].statistics.entropy.sum().backward()
            found.append(block.qkv.weight.grad.clone())
            block.zero_grad()
        self.assertGreater(found[0].abs().max().item(), 0)
        self.close(found[1], found[0])

    def test_a_penalty_on_what_was_changed_in_place_is_refused(self):
        query = torch.randn(1, 2, 4, 8, requires_grad=True)
        changed = query * 1
        with polariscope.watch(model := Attention(), detach=False) as record:
            model(changed)
        changed.add_(1)
        with self.assertRaisesRegex(RuntimeError, "changed in place"):
            record.calls[0].statistics.entropy.sum().backward()

    def test_an_output_may_be_changed_in_place(self):
        query = torch.randn(1, 2, 4, 8, requires_grad=True)
        # A mask that learns keeps PyTorch 2 from its fused function, which itself refuses this.
        mask = torch.zeros(4, 4, requires_grad=True)
        model, found = Attention(), []

        def output():
            return model(query * 1, attn_mask=mask, then=lambda y: y.add_(1))

        for watched in (False, True):
            if watched:
                with polariscope.watch(model):
                    y = output()
            else:
                y = output()
            y += 1
            found.append(torch.autograd.grad(y.square().sum(), query)[0])
        self.same(*found)

    def test_a_record_s_statistics_are_its_own(self):
        model, x = Block(direct=True), torch.randn(1, 4, 16)
        with polariscope.watch(model) as record, polariscope.watch(model) as other:
            output = model(x)
        kept = other.calls[0].statistics.entropy.clone()
        record.calls[0].statistics.entropy.div_(2)
        self.same(other.calls[0].statistics.entropy, kept)
        output.sum().backward()

        class Normalising(nn.Module):
            def forward(self, q):
                return polariscope.attend(q, q, q)[1].entropy.div_(2)

        with polariscope.watch(model := Normalising()) as record:
            half = model(torch.randn(1, 2, 4, 8))
        self.same(record.calls[0].statistics.entropy, 2 * half)

    def test_nothing_of_a_model_is_kept_alive(self):
        tensors = []

        class Remembering(Block):
            def forward(self, x):
                tensors.append(weakref.ref(x))
                return super().forward(x)

        model = Remembering()
        with polariscope.watch(model) as record, torch.no_grad():
            model(torch.randn(1, 4, 16))
        self.assertIsNone(tensors[0]())
        model = weakref.ref(model)
        self.assertIsNone(model())
        self.assertEqual(len(record.calls), 1)

    def test_methods_generators_and_direct_calls_are_seen(self):
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.block = Block()

            def encode(self, x):
                return F.scaled_dot_product_attention(x, x, x)

            def forward(self, x):
                for _ in range(2):
                    yield self.encode(x)

        model, q, x = Model(), torch.randn(1, 2, 4, 8), torch.randn(1, 4, 16)
        with polariscope.watch(model) as record:
            model.encode(q)
            self.assertEqual(len(list(model(q))), 2)
            model.block.forward(x)
        self.assertEqual([call.layer for call in record.calls], ["Model"] * 3 + ["block"])
        self.assertEqual(dict(record.notes), {})

    def test_attention_outside_of_any_module_has_a_note(self):
        q = torch.randn(1, 2, 4, 8)
        called = []
        # A thread of its own: a test is run by objects that have nothing to do with it.
        with polariscope.watch(Block()) as record:
            thread = threading.Thread(target=lambda: called.append(F.scaled_dot_product_attention(q, q, q)))
            thread.start()
            thread.join()
        self.assertEqual(len(called), 1)
        self.assertEqual(record.notes, {("-", "not seen: called outside of any module"): 1})

    def test_replicas_of_data_parallel_have_a_note(self):
        block, x = Block(), torch.randn(1, 4, 16)
        replica = block._replicate_for_data_parallel()  # as DataParallel makes them, which needs GPUs
        for name in ("norm", "qkv", "out", "mlp"):
            setattr(replica, name, getattr(block, name))
        with polariscope.watch(block) as record:
            replica(x)
        note = "not seen: computed by replicas that DataParallel makes for each pass"
        self.assertEqual(record.notes, {("-", note): 1})
        self.assertEqual(len(record.calls), 0)

    def test_a_model_without_data_has_a_note_and_a_table(self):
        for direct in (False, True):
            with torch.device("meta"):
                model = nn.Sequential(Block(direct=direct))
            with polariscope.watch(model) as record:
                model(torch.randn(1, 4, 16, device="meta"))
            self.assertEqual(record.notes, {("0", "not seen: tensors without data (meta)"): 1})
            self.assertIn("without data", str(record.summary()))
            self.assertEqual(record.means(), {})

    def test_after_an_exception_that_the_model_catches_names_are_right(self):
        class Trying(nn.Module):
            def __init__(self):
                super().__init__()
                self.block = nn.Sequential(Block(), nn.Linear(3, 3))  # the second does not fit

            def forward(self, x):
                try:
                    return self.block(x)
                except RuntimeError:
                    return F.scaled_dot_product_attention(x, x, x)

        with polariscope.watch(model := Trying()) as record:
            model(torch.randn(1, 4, 16))
        self.assertEqual([call.layer for call in record.calls], ["block.0", "Trying"])

    def test_a_teacher_beside_the_model_is_not_seen(self):
        student, teacher = Block(), Block()

        def step(model, x):
            with polariscope.watch(model) as record:
                (model(x) - teacher(x)).square().sum().backward()
            return record

        self.assertEqual([call.layer for call in step(student, torch.randn(1, 4, 16)).calls], ["Block"])

    def test_a_module_that_is_used_twice_or_added_has_the_name_it_is_under(self):
        block = Block()
        model = nn.Sequential(block, nn.Sequential(block))
        with polariscope.watch(model) as record:
            model[1].append(Block())
            model(torch.randn(1, 4, 16))
        self.assertEqual([(call.layer, call.index) for call in record.calls], [("0", 0), ("0", 1), ("1", 0)])
