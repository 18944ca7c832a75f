using System.Numerics;
using LongformerInterop.Checkpoints.Pickling;

namespace LongformerInterop.Checkpoints.Tests;

/// <summary>The restricted pickle machine: reading, refusing, and the cost of both.</summary>
[TestFixture]
public class PickleTests
{
    private TestFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TestFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void Plain_values_come_as_they_are()
    {
        object? value = Load(new PickleBuilder(4).Op(']').Op('(')
            .Op('N').Raw(0x88, 0x89).Op('J').Raw(BitConverter.GetBytes(-5)).Op('K').Raw(200).Op('M').Raw(0x34, 0x12)
            .Op('I').Raw("01\n"u8).Op('I').Raw("-12\n"u8).Op('L').Raw("99L\n"u8).Op('F').Raw("2.5\n"u8)
            .Op('G').Raw([0x3f, 0xf8, 0, 0, 0, 0, 0, 0]).Raw(0x8c, 2).Raw("hé"u8[..2]).Op('U').Raw(2).Raw("ab"u8).Op('S').Raw("'q'\n"u8)
            .Op('C').Raw(2, 7, 8).Big(BigInteger.Pow(2, 70)).Raw(0x8a, 0)
            .Op('e').Stop(), expectUtf8Failure: true);
        Assert.That(value, Is.Null, "half a character of UTF-8 is refused");
        value = Load(new PickleBuilder(4).Op(']').Op('(')
            .Op('N').Raw(0x88, 0x89).Op('J').Raw(BitConverter.GetBytes(-5)).Op('K').Raw(200).Op('M').Raw(0x34, 0x12)
            .Op('I').Raw("01\n"u8).Op('I').Raw("-12\n"u8).Op('L').Raw("99L\n"u8).Op('F').Raw("2.5\n"u8)
            .Op('G').Raw([0x3f, 0xf8, 0, 0, 0, 0, 0, 0]).Raw(0x8c, 3).Raw("hé"u8).Op('U').Raw(2).Raw("ab"u8).Op('S').Raw("'q'\n"u8)
            .Op('C').Raw(2, 7, 8).Big(BigInteger.Pow(2, 70)).Raw(0x8a, 0)
            .Op('e').Stop());
        Assert.That(((PickleSequence)value!).Items, Is.EqualTo(new object?[]
        {
            null, true, false, -5L, 200L, 0x1234L, true, -12L, 99L, 2.5, 1.5, "hé", "ab", "q", new byte[] { 7, 8 }, BigInteger.Pow(2, 70), 0L,
        }));
    }

    [Test]
    public void Memo_tuples_dictionaries_and_frames_work_as_in_python()
    {
        object? value = Load(new PickleBuilder(4).Raw(0x95, 9, 0, 0, 0, 0, 0, 0, 0)
            .Op('(').Text("k").Raw(0x94).Number(1).Raw(0x85).Op('q').Raw(1).Op('0').Op('h').Raw(0).Op('h').Raw(1).Raw(0x86).Op('d').Stop());
        (object? key, object? pair) = ((PickleDictionary)value!).Pairs.Single();
        List<object?> items = ((PickleSequence)pair!).Items;
        Assert.That((key, items[0]), Is.EqualTo(("k", "k")));
        Assert.That(((PickleSequence)items[1]!).Items, Is.EqualTo(new object[] { 1L }));
    }

    [TestCase("os", "system")]
    [TestCase("posix", "system")]
    [TestCase("nt", "system")]
    [TestCase("subprocess", "Popen")]
    [TestCase("builtins", "eval")]
    [TestCase("__builtin__", "exec")]
    [TestCase("builtins", "__import__")]
    [TestCase("importlib", "import_module")]
    [TestCase("os.path", "join")]
    [TestCase("runpy", "_run_code")]
    public void A_hostile_name_is_refused_wherever_it_stands(string module, string name)
    {
        string witness = _folder["witness"];
        string command = $"touch {witness}";
        PickleBuilder[] attacks =
        [
            // The call as an item of the state dict; its result thrown away before; as old-style instances; as a class made new;
            // from the stack; beside the state dict of a training checkpoint.
            PickleBuilder.Dict("w", p => p.Global(module, name).Op('(').Text(command).Op('t').Op('R')),
            new PickleBuilder().Global(module, name).Op('(').Text(command).Op('t').Op('R').Op('0').Op('}').Stop(),
            PickleBuilder.Dict("w", p => p.Op('(').Text(command).Op('i').Raw(System.Text.Encoding.UTF8.GetBytes($"{module}\n{name}\n"))),
            PickleBuilder.Dict("w", p => p.Op('(').Global(module, name).Text(command).Op('o')),
            PickleBuilder.Dict("w", p => p.Global(module, name).Text(command).Raw(0x85).Raw(0x81)),
            PickleBuilder.Dict("w", p => p.Text(module).Text(name).Raw(0x93).Text(command).Raw(0x85).Op('R')),
            new PickleBuilder().Op('}').Op('(').Text("state_dict").Op('}').Text("w").Tensor("FloatStorage", "0", 1, 0, [1], [1]).Op('s')
                .Text("hyper_parameters").Global(module, name).Text(command).Raw(0x85).Op('R').Op('u').Stop(),
        ];
        foreach (PickleBuilder attack in attacks)
        {
            Assert.That(() => Open(PickleBuilder.Zip(attack.ToArray(), ("0", new byte[4]))),
                Throws.TypeOf<CheckpointException>().With.Message.Contains($"'{module}.{name}'").And.Message.Contains("nothing was executed"));
            Assert.That(() => Open(PickleBuilder.Legacy(attack.ToArray(), ("0", 1, new byte[4]))),
                Throws.TypeOf<CheckpointException>().With.Message.Contains($"'{module}.{name}'"));
        }
        Assert.That(File.Exists(witness), Is.False);
    }

    [Test]
    public void An_unknown_class_in_a_state_dict_is_refused_by_name()
    {
        PickleBuilder good(PickleBuilder p) => p.Tensor("FloatStorage", "0", 1, 0, [1], [1]);
        PickleBuilder[] attacks =
        [
            PickleBuilder.Dict("w", p => p.Global("torch.hub", "load").Op(')').Op('R')),
            // Thrown away, beside an honest tensor.
            good(new PickleBuilder().Global("torch.hub", "load").Op(')').Op('R').Op('0').Op('}').Text("w")).Op('s').Stop(),
            // Deep inside the state dict of a training checkpoint.
            good(new PickleBuilder().Op('}').Text("state_dict").Op('}').Op('(').Text("w")).Text("x").Op(']').Op(']').Global("torch.hub", "load")
                .Op(')').Op('R').Op('a').Op('a')
                .Op('u').Op('s').Stop(),
            // A class itself, and as a key.
            good(new PickleBuilder().Op('}').Text("state_dict").Op('}').Op('(').Text("w")).Global("torch.hub", "load").Number(1).Op('u')
                .Op('s').Stop(),
        ];
        foreach (PickleBuilder attack in attacks)
        {
            Assert.That(() => Open(PickleBuilder.Zip(attack.ToArray(), ("0", new byte[4]))),
                Throws.TypeOf<CheckpointException>().With.Message.Contains(
                    "'torch.hub.load': no part of a state dict. Refused; nothing was executed"));
        }
    }

    [Test]
    public void A_known_function_with_other_arguments_is_refused()
    {
        foreach (PickleBuilder wrong in new[]
        {
            PickleBuilder.Dict("w", p => p.Global("torch._utils", "_rebuild_tensor_v2").Op(')').Op('R')),
            PickleBuilder.Dict("w", p =>
                p.Global("torch._utils", "_rebuild_tensor_v2").Op('(').Number(1).Number(0).Tuple(1).Tuple(1).Raw(0x89).Op('N').Op('t').Op('R')),
            PickleBuilder.Dict("w", p => p.Global("torch._utils", "_rebuild_parameter").Op('(').Number(1).Op('t').Op('R')),
            PickleBuilder.Dict("w", p => p.Global("collections", "OrderedDict").Op('(').Op(']').Number(1).Op('a').Op('t').Op('R')),
            PickleBuilder.Dict("w", p => p.Number(1).Op(')').Op('R')),
            PickleBuilder.Dict("w", p => p.Global("torch", "Size").Number(1).Op('R')),
        })
        {
            Assert.That(() => Open(PickleBuilder.Zip(wrong.ToArray())), Throws.TypeOf<CheckpointException>().With.Message.Contains("damaged pickle"));
        }
    }

    [TestCase(new byte[] { (byte)'0', (byte)'.' }, "empty stack")]
    [TestCase(new byte[] { (byte)'.' }, "other than one value")]
    [TestCase(new byte[] { (byte)'N', (byte)'N', (byte)'.' }, "other than one value")]
    [TestCase(new byte[] { (byte)'(', (byte)'.' }, "other than one value")]
    [TestCase(new byte[] { (byte)'t', (byte)'.' }, "a mark is missing")]
    [TestCase(new byte[] { (byte)'(', 0x85, (byte)'.' }, "empty stack")]
    [TestCase(new byte[] { (byte)'N', (byte)'N', (byte)'a' }, "no list")]
    [TestCase(new byte[] { (byte)'N', (byte)'N', (byte)'N', (byte)'s' }, "no dictionary")]
    [TestCase(new byte[] { (byte)'(', (byte)'N', (byte)'d' }, "a key without a value")]
    [TestCase(new byte[] { (byte)'h', 3 }, "nothing was memorised under 3")]
    [TestCase(new byte[] { (byte)'N', (byte)'r', 0xff, 0xff, 0xff, 0xff }, "the memo has no place")]
    [TestCase(new byte[] { (byte)'P', (byte)'x', (byte)'\n' }, "the opcode 0x50")]
    [TestCase(new byte[] { 0x82, 1 }, "the opcode 0x82")]
    [TestCase(new byte[] { 0x97 }, "the opcode 0x97")]
    [TestCase(new byte[] { (byte)'N', (byte)'Q' }, "a persistent id")]
    [TestCase(new byte[] { 0x80, 9 }, "protocol 9 is unknown")]
    [TestCase(new byte[] { (byte)'I', (byte)'x', (byte)'\n' }, "an integer is not one")]
    [TestCase(new byte[] { (byte)'F', (byte)'x', (byte)'\n' }, "damaged pickle")]
    [TestCase(new byte[] { (byte)'S', (byte)'x', (byte)'\n' }, "a string without quotes")]
    [TestCase(new byte[] { 0x8d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, "beyond the pickle's end")]
    [TestCase(new byte[] { 0x8b, 0, 0, 0, 0x7f }, "beyond the pickle's end")]
    [TestCase(new byte[] { (byte)'X', 0xff, 0xff, 0xff, 0xff }, "beyond the pickle's end")]
    [TestCase(new byte[] { (byte)'c', (byte)'o', (byte)'s' }, "it ends in the middle")]
    [TestCase(new byte[] { }, "it ends in the middle")]
    public void A_damaged_pickle_is_refused_by_its_own_message(byte[] pickle, string message) =>
        Assert.That(() => Load(new PickleBuilder().Raw(pickle)), Throws.TypeOf<CheckpointException>().With.Message.Contains(message));

    [Test]
    public void A_pickle_cut_off_anywhere_is_refused()
    {
        byte[] whole = PickleBuilder.Dict("w", p => p.Tensor("FloatStorage", "0", 1, 0, [1], [1])).ToArray();
        for (int length = 0; length < whole.Length; length++)
            Assert.That(() => Open(PickleBuilder.Zip(whole[..length], ("0", new byte[4]))), Throws.TypeOf<CheckpointException>(), $"{length} bytes");
    }

    [Test]
    public void Nesting_and_cycles_recurse_nowhere()
    {
        // Half a million tuples around each other, and a list that holds itself, inside a state dict.
        byte[] nested = [.. Enumerable.Repeat((byte)0x85, 500_000)];
        byte[] pickle = new PickleBuilder().Op('}').Op('(').Text("deep").Op('N').Raw(nested).Text("self").Op(']').Op('q').Raw(0)
            .Op('h').Raw(0).Op('a')
            .Text("w").Tensor("FloatStorage", "0", 1, 0, [1], [1]).Op('u').Stop().ToArray();
        using Checkpoint checkpoint = Open(PickleBuilder.Zip(pickle, ("0", new byte[4])));
        Assert.That(checkpoint.Names, Is.EqualTo(new[] { "w" }));
    }

    [Test]
    public void Memory_stays_bounded_whatever_the_pickle_asks_for()
    {
        PickleBuilder List(int items) =>
            new PickleBuilder().Op(']').Op('(').Raw([.. Enumerable.Repeat((byte)'N', items)]).Op('e').Op('q').Raw(0).Op('0');
        // A list of 10,000 items copied 300 times by list(); a long string encoded again and again; values without end.
        byte[] copies = [.. Enumerable.Repeat(new PickleBuilder().Global("builtins", "list").Op('h').Raw(0).Raw(0x85).Op('R').ToArray()[2..], 300)
            .SelectMany(b => b)];
        byte[] codes = [.. Enumerable.Repeat(new PickleBuilder().Global("_codecs", "encode").Op('h').Raw(0).Raw(0x85).Op('R').ToArray()[2..], 100)
            .SelectMany(b => b)];
        Bounded(List(10_000).Raw(copies), "it makes more than");
        Bounded(new PickleBuilder().Text(new string('x', 1_000_000)).Op('q').Raw(0).Op('0').Raw(codes), "it makes more than");
        Bounded(new PickleBuilder().Raw([.. Enumerable.Repeat((byte)'}', 1_200_000)]), "its stack grows beyond");
        Bounded(new PickleBuilder().Raw([.. Enumerable.Repeat("}0"u8.ToArray(), 2_100_000).SelectMany(b => b)]), "it makes more than");
        Bounded(new PickleBuilder().Op('N').Raw([.. Enumerable.Repeat((byte)'2', 1_200_000)]), "its stack grows beyond");

        void Bounded(PickleBuilder attack, string message)
        {
            byte[] pickle = attack.ToArray();
            string path = _folder.Write("p", pickle);
            long before = GC.GetAllocatedBytesForCurrentThread();
            Assert.That(() => LoadFile(path), Throws.TypeOf<CheckpointException>().With.Message.Contains(message));
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(400 << 20));
        }
    }

    [Test]
    public void A_pickle_larger_than_any_state_dict_needs_is_refused()
    {
        string path = _folder["large"];
        using (FileStream file = File.Create(path))
        {
            file.Write(new PickleBuilder().Op('X').Raw(BitConverter.GetBytes((1 << 26) + 1)).ToArray());
            file.SetLength((1 << 26) + 100);
        }
        Assert.That(() => LoadFile(path), Throws.TypeOf<CheckpointException>().With.Message.Contains("beyond the pickle's end"));
    }

    private object? Load(PickleBuilder pickle, bool expectUtf8Failure = false)
    {
        string path = _folder.Write("p", pickle.ToArray());
        if (!expectUtf8Failure)
            return LoadFile(path);
        Assert.That(() => LoadFile(path), Throws.TypeOf<CheckpointException>().With.Message.Contains("not UTF-8"));
        return null;
    }

    private static object? LoadFile(string path)
    {
        using MappedFile map = MappedFile.Open(path);
        return new Unpickler(new PickleStream(map, 0, map.Length)).Load();
    }

    private Checkpoint Open(byte[] file) => Checkpoint.Open(_folder.Write("f.bin", file));
}
