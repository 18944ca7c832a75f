using System.Text.RegularExpressions;

namespace LongformerInterop.Architecture.Tests;

/// <summary>The table of tasks (<c>TaskKind.All</c>) and the interfaces of C and Python have the same tasks.</summary>
[TestFixture]
public partial class TaskTableTests
{
    private static readonly string[] Tasks = [.. TableLine().Matches(Read("src", "Tasks", "TaskKind.cs")).Select(m => m.Groups[1].Value)];

    private static IEnumerable<string> Handles => Tasks.Select(Handle);

    [Test]
    public void The_table_is_read() => Assert.That(Tasks, Has.Length.AtLeast(8).And.Contains("DocumentEncoder"));

    [Test]
    public void C_has_a_handle_for_each_task_with_its_load_and_free()
    {
        string header = Read("bindings", "c", "include", "longformer.h");
        Assert.That(Regex.Matches(header, @"^typedef lf_task (\w+);", RegexOptions.Multiline).Select(m => m.Groups[1].Value),
            Is.EquivalentTo(Handles));
        foreach (string handle in Handles)
        {
            Assert.That(header, Does.Match($@"\b{handle}_load\(const char\* folder, const lf_load_options\* options, {handle}\*\* "));
            Assert.That(header, Does.Match($@"\b{handle}_free\({handle}\* "));
        }
    }

    [Test]
    public void Python_over_C_has_a_prefix_for_each_task() =>
        Assert.That(
            PythonPrefix().Matches(Read("bindings", "python", "longformer_interop", "_capi", "backend.py"))
                .Select(m => (m.Groups[1].Value, m.Groups[2].Value)).Where(m => Handles.Contains(m.Item2)),
            Is.EquivalentTo(Tasks.Select(task => (task, Handle(task)))));

    [Test]
    public void Python_over_pythonnet_has_a_class_for_each_task() =>
        Assert.That(
            Regex.Matches(Read("bindings", "python", "longformer_interop", "clr", "__init__.py"),
                    @"^class (\w+)\(_ThisTask, ", RegexOptions.Multiline)
                .Select(m => m.Groups[1].Value),
            Is.EquivalentTo(Tasks));

    [TestCase("__init__.py")]
    [TestCase("clr/__init__.py")]
    public void Python_exports_each_task(string file)
    {
        string text = Read("bindings", "python", "longformer_interop", file);
        string all = text[text.IndexOf("__all__", StringComparison.Ordinal)..];
        Assert.That(Tasks.Where(task => !all.Contains($"\"{task}\"", StringComparison.Ordinal)), Is.Empty);
    }

    /// <summary>The C handle of a task: <c>lf_text_classifier</c> for TextClassifier.</summary>
    private static string Handle(string task) => "lf" + Capital().Replace(task, m => "_" + m.Value.ToLowerInvariant());

    private static string Read(params ReadOnlySpan<string> path) => File.ReadAllText(Path.Combine([Repository.Root, .. path]));

    [GeneratedRegex(@"\bOf\((\w+)\.Load\)")]
    private static partial Regex TableLine();

    [GeneratedRegex("\"(\\w+)\": \"(lf_\\w+)\"")]
    private static partial Regex PythonPrefix();

    [GeneratedRegex("[A-Z]")]
    private static partial Regex Capital();
}
