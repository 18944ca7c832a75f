namespace LongformerInterop.Checkpoints.Tests;

[TestFixture]
public class StagedFolderTests
{
    private TestFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TestFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void A_new_folder_appears_whole_or_not_at_all()
    {
        using (StagedFolder staged = new(_folder["new"]))
        {
            File.WriteAllText(Path.Combine(staged.Path, "config.json"), "{}");
            Assert.That(Directory.Exists(_folder["new"]), Is.False);
            staged.Commit();
        }
        Assert.That(File.ReadAllText(_folder["new/config.json"]), Is.EqualTo("{}"));
        using (StagedFolder abandoned = new(_folder["other"]))
            File.WriteAllText(Path.Combine(abandoned.Path, "config.json"), "{}");
        Assert.That(Directory.EnumerateFileSystemEntries(_folder.Path).Select(Path.GetFileName), Is.EqualTo(new[] { "new" }),
            "nothing is left beside");
    }

    [Test]
    public void An_existing_folder_keeps_its_other_files_and_loses_old_weights()
    {
        Directory.CreateDirectory(_folder["m"]);
        foreach (string old in new[] { "model.safetensors", "config.json", "README.md", "pytorch_model.bin", "model-00003-of-00003.safetensors" })
            _folder.Write($"m/{old}", "old");
        using StagedFolder staged = new(_folder["m"] + "/");
        foreach (string fresh in new[] { "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
            "model.safetensors.index.json" })
        {
            File.WriteAllText(Path.Combine(staged.Path, fresh), "new");
        }
        staged.Commit();
        Assert.That(Directory.EnumerateFiles(_folder["m"]).Select(Path.GetFileName), Is.EquivalentTo(new[]
        {
            "config.json", "README.md", "pytorch_model.bin", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
        }));
        Assert.That(File.ReadAllText(_folder["m/config.json"]), Is.EqualTo("new"));
        Assert.That(File.ReadAllText(_folder["m/README.md"]), Is.EqualTo("old"));
        Assert.That(() => staged.Commit(), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void A_target_that_is_a_file_or_cannot_be_made_is_named()
    {
        Assert.That(() => new StagedFolder(_folder.Write("f", "x")),
            Throws.TypeOf<CheckpointException>().With.Message.EndsWith("a file, not a folder"));
        Assert.That(() => new StagedFolder(_folder["f/sub"]), Throws.TypeOf<CheckpointException>().With.Message.Contains("cannot be written"));
    }
}
