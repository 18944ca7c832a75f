using System.Diagnostics;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Conversion;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>The files of <see cref="PretrainedModel.Save"/>. With LONGFORMER_SAVED=DIR the folders stay there (tools/check-hf.sh loads them
/// elsewhere).</summary>
public class SaveTests
{
    private static readonly LedConfiguration Led = new()
    {
        VocabSize = 90, DModel = 32, EncoderLayers = 2, DecoderLayers = 2, EncoderAttentionHeads = 4, DecoderAttentionHeads = 4, EncoderFfnDim = 48,
        DecoderFfnDim = 48, MaxEncoderPositionEmbeddings = 64, MaxDecoderPositionEmbeddings = 24, AttentionWindow = [8, 16],
    };

    private static readonly string[] Own =
        ["LongformerForSpanClassification", "LongformerForCandidateScoring", "LongformerForCoreference", "LongformerForHotpotQA"];

    private static IEnumerable<string> Architectures => Architecture.All.Select(a => a.Name);

    [Test]
    public void Every_kind_of_model_saves_the_tensors_of_its_class_and_loads_again([ValueSource(nameof(Architectures))] string architecture)
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        IReadOnlyList<ParameterShape> parameters = Write(folder["before"], architecture);
        using (PretrainedModel model = PretrainedModel.Load(folder["before"]))
            model.Save(folder["after"]);
        Assert.That(Directory.EnumerateFileSystemEntries(folder["after"]).Select(Path.GetFileName),
            Is.EquivalentTo(new[] { "config.json", "model.safetensors" }));
        using Checkpoint before = Checkpoint.Open(folder["before"]), after = Checkpoint.Open(folder["after"]);
        Assert.That(after.Names, Is.EquivalentTo(parameters.Select(p => p.Name)));
        Assert.That(after.Metadata["format"], Is.EqualTo("pt"));
        foreach (string name in after.Names)
            Assert.That(after.Get(name).AsBytes().SequenceEqual(before.Get(name).AsBytes()), Is.True, name);
        using (PretrainedModel again = PretrainedModel.Load(folder["after"]))
            Assert.That(again.Architecture, Is.EqualTo(architecture));
        // HF sizes this head by the number of labels.
        if (architecture == "LongformerForQuestionAnswering")
            Assert.That(LongformerConfiguration.Load(folder["after"]).NumLabels, Is.EqualTo(2));
        // Classes of our own, which HF could not load.
        if (Environment.GetEnvironmentVariable("LONGFORMER_SAVED") is { Length: > 0 } kept && !Own.Contains(architecture))
        {
            string target = Directory.CreateDirectory(Path.Combine(kept, architecture)).FullName;
            foreach (string file in Directory.EnumerateFiles(folder["after"]))
                File.Copy(file, Path.Combine(target, Path.GetFileName(file)), overwrite: true);
        }
    }

    [Test]
    public void A_full_disk_leaves_the_old_folder_whole()
    {
        using TestFolder folder = new();
        Write(folder["model"], "LongformerForMaskedLM");
        using PretrainedModel model = PretrainedModel.Load(folder["model"]);
        using SmallDisk disk = SmallDisk.Mount(folder["disk"], kibibytes: 1024);
        string target = Path.Combine(folder["disk"], "model");
        model.Save(target);
        Dictionary<string, byte[]> old = Directory.EnumerateFiles(target).ToDictionary(f => f, File.ReadAllBytes);
        disk.Fill(except: 16 * 1024);
        Assert.That(() => model.Save(target), Throws.TypeOf<CheckpointException>().With.Message.Contains("No space left"));
        Assert.That(() => CheckpointConverter.Convert(folder["model"], target,
            new ConversionOptions { To = ConversionTarget.Safetensors, Overwrite = true }),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("No space left"));
        Assert.That(Directory.EnumerateFiles(target), Is.EquivalentTo(old.Keys));
        foreach ((string file, byte[] content) in old)
            Assert.That(File.ReadAllBytes(file), Is.EqualTo(content), file);
        Assert.That(Directory.EnumerateFileSystemEntries(folder["disk"]).Select(Path.GetFileName),
            Is.EquivalentTo(new[] { "model", SmallDisk.Filling }));
    }

    private static IReadOnlyList<ParameterShape> Write(string folder, string architecture) =>
        RandomCheckpoint.Write(folder, architecture.StartsWith("LED", StringComparison.Ordinal) ? Led : TinyModels.Configuration,
            seed: 5, architecture);

    /// <summary>A file system in memory that fills up; only root may mount one.</summary>
    private sealed class SmallDisk : IDisposable
    {
        internal const string Filling = "filling";

        private readonly string _folder;

        private SmallDisk(string folder) => _folder = folder;

        internal static SmallDisk Mount(string folder, int kibibytes)
        {
            Directory.CreateDirectory(folder);
            if (!OperatingSystem.IsLinux() || Run("mount", "-t", "tmpfs", "-o", FormattableString.Invariant($"size={kibibytes}k"),
                "tmpfs", folder) != 0)
            {
                Assert.Ignore("a small disk to fill can be mounted by root only");
            }
            return new SmallDisk(folder);
        }

        internal void Fill(int except)
        {
            string file = Path.Combine(_folder, Filling);
            using (FileStream stream = new(file, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, bufferSize: 0))
            {
                try
                {
                    while (true)
                        stream.Write(new byte[4096]);
                }
                catch (IOException)
                {
                    stream.SetLength(stream.Length - except);
                }
            }
        }

        public void Dispose() => Run("umount", _folder);

        private static int Run(string program, params string[] arguments)
        {
            try
            {
                using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
                process.StandardError.ReadToEnd();
                process.WaitForExit();
                return process.ExitCode;
            }
            catch (System.ComponentModel.Win32Exception)
            {
                return 1;
            }
        }
    }
}
