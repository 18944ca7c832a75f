using System.Reflection;

namespace LongformerInterop.Torch.Tests;

/// <summary>The library as a whole, and that every wrapper names an operator that exists.</summary>
[TestFixture]
public class RuntimeTests : TensorTest
{
    [Test]
    public void Built_and_loaded_versions_agree()
    {
        Assert.That(TorchRuntime.Version, Does.Match(@"^\d+\.\d+\.\d+"));
        Assert.That(TorchRuntime.BuiltVersion.Split('.')[..2], Is.EqualTo(TorchRuntime.Version.Split('.')[..2]));
    }

    [Test]
    public void Another_version_of_the_interface_is_refused() =>
        Assert.That(() => Interop.Shim.Check(Interop.NativeMethods.Initialize(99, 0)),
            Throws.TypeOf<TorchException>().With.Message.Contains("ABI version 1").And.Message.Contains("99"));

    [Test]
    public void The_threads_are_those_of_the_machine()
    {
        Assume.That(Environment.GetEnvironmentVariable("OMP_NUM_THREADS"), Is.Null.Or.Empty);
        Assert.That(TorchRuntime.ThreadCount, Is.EqualTo(Environment.ProcessorCount));
        Assert.That(() => TorchRuntime.ThreadCount = 0, Throws.TypeOf<InputException>().With.Message.Contains("at least 1"));
    }

    [Test]
    public void A_seed_gives_the_same_numbers_again()
    {
        TorchRuntime.ManualSeed(7);
        float[] first = Tensor.Randn([8]).ToArray<float>();
        float[] next = Tensor.Randn([8]).ToArray<float>();
        TorchRuntime.ManualSeed(7);
        Assert.That(Tensor.Randn([8]).ToArray<float>(), Is.EqualTo(first));
        Assert.That(next, Is.Not.EqualTo(first));
        TorchRuntime.ManualSeed(-1);
        Tensor dropped = Functional.Dropout(Tensor.Ones([1000]), 0.5, training: true);
        TorchRuntime.ManualSeed(-1);
        Assert.That(Functional.Dropout(Tensor.Ones([1000]), 0.5, training: true).EqualTo(dropped));
        Assert.That(dropped.CountNonZero().Item<long>(), Is.InRange(400, 600));
    }

    [Test]
    public void Devices_are_counted()
    {
        Assert.That(TorchRuntime.DeviceCount(DeviceType.Cpu), Is.EqualTo(1));
        Assert.That(TorchRuntime.DeviceCount((DeviceType)(-1)), Is.Zero);
        Assert.That(TorchRuntime.DeviceCount((DeviceType)500), Is.Zero);
        Assert.That(TorchRuntime.CudaAvailable, Is.EqualTo(TorchRuntime.DeviceCount(DeviceType.Cuda) > 0));
    }

    private static IEnumerable<TestCaseData> Wrapped() =>
        from type in new[] { typeof(Tensor), typeof(Functional) }
        from field in type.GetFields(BindingFlags.Static | BindingFlags.NonPublic)
        where field.FieldType == typeof(Operator)
        select new TestCaseData(field).SetArgDisplayNames($"{type.Name}.{field.Name}");

    [TestCaseSource(nameof(Wrapped))]
    public void A_wrapper_names_an_operator_that_exists(FieldInfo field) =>
        Assert.That(((Operator)field.GetValue(null)!).Schema, Does.StartWith("aten::"));

    [Test]
    public void A_call_allocates_nothing_but_the_tensor()
    {
        Tensor x = Tensor.Ones([4]), y = Tensor.Ones([4]);
        for (int i = 0; i < 100; i++) x.AddInPlace(y).View(2, 2).Dispose();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++) x.AddInPlace(y);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero, "in place");
        before = GC.GetAllocatedBytesForCurrentThread();
        before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++) x.View(2, 2).Dispose();
        Assert.That((GC.GetAllocatedBytesForCurrentThread() - before) / 100, Is.LessThanOrEqualTo(80), "a view: 40 bytes, and its share of the scope's list");
    }
}
