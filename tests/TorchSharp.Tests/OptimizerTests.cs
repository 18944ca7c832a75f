using LongformerInterop.Models.Tests;
using TorchSharp.Modules;
using Optimizer = TorchSharp.torch.optim.Optimizer;

namespace LongformerInterop.TorchSharp.Tests;

/// <summary>Every optimizer and scheduler of TorchSharp's on a module, and the fused step beside TorchSharp's own.</summary>
public class OptimizerTests
{
    private static readonly Dictionary<string, Func<IEnumerable<Parameter>, Optimizer>> Optimizers = new(StringComparer.Ordinal)
    {
        ["SGD"] = p => torch.optim.SGD(p, 0.05, momentum: 0.9), ["Adam"] = p => torch.optim.Adam(p, 1e-3),
        ["AdamW"] = p => torch.optim.AdamW(p, 1e-3), ["FusedAdamW"] = p => new FusedAdamW(p, 1e-3), ["Adagrad"] = p => torch.optim.Adagrad(p, 1e-2),
        ["Adadelta"] = p => torch.optim.Adadelta(p, 1), ["Adamax"] = p => torch.optim.Adamax(p, 1e-3), ["ASGD"] = p => torch.optim.ASGD(p, 0.05),
        ["NAdam"] = p => torch.optim.NAdam(p, 1e-3), ["RAdam"] = p => torch.optim.RAdam(p, 5e-3), ["RMSProp"] = p => torch.optim.RMSProp(p, 1e-3),
        ["Rprop"] = p => torch.optim.Rprop(p, 1e-3), ["LBFGS"] = p => torch.optim.LBFGS(p, 0.05, max_iter: 4),
    };

    private static readonly Dictionary<string, Func<Optimizer, torch.optim.lr_scheduler.LRScheduler>> Schedulers = new(StringComparer.Ordinal)
    {
        ["StepLR"] = o => torch.optim.lr_scheduler.StepLR(o, 5), ["LambdaLR"] = o => torch.optim.lr_scheduler.LambdaLR(o, step => 1 - (step / 30.0)),
        ["LinearLR"] = o => torch.optim.lr_scheduler.LinearLR(o), ["CosineAnnealingLR"] = o => torch.optim.lr_scheduler.CosineAnnealingLR(o, 20),
        ["ExponentialLR"] = o => torch.optim.lr_scheduler.ExponentialLR(o, 0.9),
        ["OneCycleLR"] = o => torch.optim.lr_scheduler.OneCycleLR(o, 1e-3, 20),
    };

    private static IEnumerable<string> OptimizerNames => Optimizers.Keys;

    private static IEnumerable<string> SchedulerNames => Schedulers.Keys;

    [TestCaseSource(nameof(OptimizerNames))]
    public void An_optimizer_lowers_the_loss(string name)
    {
        List<float> losses = Train(Optimizers[name], _ => null, 12);
        Assert.That(losses[^1], Is.LessThan(losses[0] * 0.9), string.Join(", ", losses));
    }

    [TestCaseSource(nameof(SchedulerNames))]
    public void A_schedule_sets_the_rate_of_the_fused_step(string name)
    {
        HashSet<double> rates = [];
        List<float> losses = Train(Optimizers["FusedAdamW"], Schedulers[name], 12, o => rates.Add(o.ParamGroups.First().LearningRate));
        Assert.That(losses[^1], Is.LessThan(losses[0]), string.Join(", ", losses));
        Assert.That(rates, Has.Count.GreaterThan(1));
    }

    [Test]
    public void The_fused_step_is_AdamWs_with_groups_and_parameters_without_a_gradient()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        (List<Parameter> theirs, List<Parameter> ours) = (Random(), Random());
        static AdamW.ParamGroup[] Groups(List<Parameter> p) =>
            [new(p.Take(2), lr: 1e-2, weight_decay: 0.1), new(p.Skip(2), new AdamW.Options { LearningRate = 1e-3, beta1 = 0.8, maximize = true })];
        using AdamW reference = torch.optim.AdamW(Groups(theirs), beta2: 0.98);
        using FusedAdamW fused = new(Groups(ours), beta2: 0.98);
        for (int step = 0; step < 5; step++)
        {
            using DisposeScope scope = torch.NewDisposeScope();
            for (int i = 0; i < theirs.Count; i++)
            {
                // The last has its first gradient later than the others.
                if (i == 3 && step < 2)
                    continue;
                TorchTensor gradient = torch.randn_like(theirs[i]);
                (theirs[i].grad, ours[i].grad) = (gradient.clone(), gradient.clone());
            }
            reference.step();
            fused.step();
            for (int i = 0; i < theirs.Count; i++)
                Torches.AssertClose(ours[i], theirs[i], 1e-6, $"parameter {i} behind step {step}");
        }

        fused.zero_grad();
        Assert.That(ours.Select(p => p.grad), Is.All.Null);
        TorchTensor before = ours[0].clone();
        fused.step();
        Torches.AssertClose(ours[0], before, 0, "without a gradient nothing is touched");

        static List<Parameter> Random()
        {
            torch.random.manual_seed(4);
            return [new(torch.randn(3, 5)), new(torch.randn(7)), new(torch.randn(2, 2)), new(torch.randn(4, dtype: torch.ScalarType.Float64))];
        }
    }

    [Test]
    public void The_state_of_the_fused_step_is_saved_and_goes_on()
    {
        using TestFolder folder = new();
        using DisposeScope disposeScope = torch.NewDisposeScope();
        Parameter parameter = new(torch.ones(4)), other = new(torch.ones(4));
        using FusedAdamW first = new([parameter], 0.1);
        Step(first, parameter, 1);
        first.save_state_dict(folder["state"]);
        using FusedAdamW second = new([other], 0.1);
        second.load_state_dict(folder["state"]);
        using (torch.no_grad())
            other.copy_(parameter);
        Step(first, parameter, -2);
        Step(second, other, -2);
        Torches.AssertClose(other, parameter, 0, "gone on");
        Assert.That(() => new FusedAdamW([new AdamW.ParamGroup([parameter], amsgrad: true)]).step(),
            Throws.TypeOf<NotSupportedException>().With.Message.StartsWith("amsgrad"));

        static void Step(FusedAdamW optimizer, Parameter parameter, float gradient)
        {
            parameter.grad = torch.full_like(parameter, gradient);
            optimizer.step();
        }
    }

    [Test]
    public void The_packed_form_and_a_pass_that_waits_see_the_fused_step()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using PretrainedModule module = Torches.Module();
        module.eval();
        using FusedAdamW optimizer = new(module.parameters(), 1e-2);
        TorchTensor Packed()
        {
            using IDisposable off = torch.no_grad();
            return module.forward(Torches.Ids()).LastHiddenState;
        }

        TorchTensor before = Packed(), waiting = module.forward(Torches.Ids()).LastHiddenState.sum();
        module.forward(Torches.Ids()).LastHiddenState.pow(2).sum().RunBackward();
        optimizer.step();
        TorchTensor after = Packed();
        Assert.That((after - before).abs().max().item<float>(), Is.GreaterThan(1e-3));
        Torches.AssertClose(after, module.forward(Torches.Ids()).LastHiddenState, 2e-5, "packed as plain");
        Assert.That(() => waiting.RunBackward(), Throws.Exception.With.Message.Contains("modified by an inplace operation"));
    }

    private static List<float> Train(Func<IEnumerable<Parameter>, Optimizer> make,
        Func<Optimizer, torch.optim.lr_scheduler.LRScheduler?> schedule, int steps, Action<Optimizer>? look = null)
    {
        torch.random.manual_seed(5);
        using PretrainedModule module = Torches.Module("LongformerForSequenceClassification");
        module.eval();
        using TorchTensor ids = Torches.Ids(3), labels = torch.tensor(new long[] { 0, 1, 2 });
        using Optimizer optimizer = make(module.parameters());
        torch.optim.lr_scheduler.LRScheduler? scheduler = schedule(optimizer);
        List<float> losses = [];
        for (int step = 0; step < steps; step++)
        {
            using DisposeScope scope = torch.NewDisposeScope();
            TorchTensor Loss()
            {
                TorchTensor loss = module.forward(ids, labels: labels).Loss!;
                optimizer.zero_grad();
                loss.RunBackward();
                return loss;
            }

            losses.Add(optimizer.step(Loss).item<float>());
            scheduler?.step();
            look?.Invoke(optimizer);
        }

        return losses;
    }
}
