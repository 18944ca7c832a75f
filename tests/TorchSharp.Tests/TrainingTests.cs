using LongformerInterop.Models;
using LongformerInterop.Models.Tests;
using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp.Tests;

public class TrainingTests
{
    [Test]
    public void An_optimizer_and_a_schedule_of_TorchSharps_train_a_module()
    {
        torch.random.manual_seed(5);
        using PretrainedModule module = Torches.Module("LongformerForSequenceClassification",
            TinyModels.Configuration with { HiddenDropoutProb = 0, AttentionProbsDropoutProb = 0 });
        using TorchTensor ids = Torches.Ids(3), labels = torch.tensor(new long[] { 0, 1, 2 });
        using torch.optim.Optimizer optimizer = torch.optim.AdamW(module.parameters(), 3e-3);
        torch.optim.lr_scheduler.LRScheduler schedule = torch.optim.lr_scheduler.StepLR(optimizer, 20, 0.5);
        module.train();
        double first = 0, last = 0;
        for (int step = 0; step < 30; step++)
        {
            using DisposeScope scope = torch.NewDisposeScope();
            TorchTensor loss = module.forward(ids, labels: labels).Loss!;
            optimizer.zero_grad();
            loss.RunBackward();
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0);
            optimizer.step();
            schedule.step();
            last = loss.item<float>();
            if (step == 0)
                first = last;
        }

        Assert.That(last, Is.LessThan(first / 5));
        module.eval();
        using TorchTensor logits = module.forward(ids).Logits;
        Assert.That(logits.argmax(1).data<long>().ToArray(), Is.EqualTo(new long[] { 0, 1, 2 }));
    }

    [TestCase("FusedAdamW")]
    [TestCase("AdamW")]
    public void Nothing_grows_over_ten_thousand_steps(string name)
    {
        LongformerConfiguration tiny = TinyModels.Configuration with
        {
            HiddenSize = 8, NumHiddenLayers = 1, NumAttentionHeads = 1, IntermediateSize = 8, AttentionWindow = [4],
                MaxPositionEmbeddings = 20, VocabSize = 30,
        };
        using PretrainedModule module = Torches.Module("LongformerForSequenceClassification", tiny);
        using TorchTensor ids = torch.tensor(new long[] { 0, 5, 6, 7, 2 }, [1, 5]), labels = torch.tensor(new long[] { 1 });
        using torch.optim.Optimizer optimizer = name == "AdamW" ? torch.optim.AdamW(module.parameters(), 1e-4)
            : new FusedAdamW(module.parameters(), 1e-4);
        void Steps(int count)
        {
            for (int step = 0; step < count; step++)
            {
                using DisposeScope scope = torch.NewDisposeScope();
                TorchTensor loss = module.forward(ids, labels: labels).Loss!;
                optimizer.zero_grad();
                if (step % 3 == 0)
                    loss.backward();
                else
                    loss.RunBackward();
                optimizer.step();
            }

            using (torch.no_grad())
                module.forward(ids).Dispose();
            GC.Collect();
            GC.WaitForPendingFinalizers();
            GC.Collect();
        }

        Steps(1000);
        (long theirs, long ours, long memory) = (TorchTensor.TotalCount, TorchRuntime.LiveTensorCount, Resident());
        Steps(10_000);
        // TorchSharp counts the gradient that an output did not get (here that of the logits), a wrapper of nothing, and never takes it off again.
        Assert.That(TorchTensor.TotalCount - theirs, Is.EqualTo(10_000));
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(ours));
        Assert.That(Resident() - memory, Is.LessThan(24L << 20), "resident bytes");
    }

    private static long Resident()
    {
        using System.Diagnostics.Process process = System.Diagnostics.Process.GetCurrentProcess();
        return process.WorkingSet64;
    }
}
